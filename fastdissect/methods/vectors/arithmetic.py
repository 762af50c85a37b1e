"""Sums of concept vectors: "grass + blue-c - green-c" is nearest to ...?

Source: Net2Vec's rebuttal notebook (METHODS 3.7), after word2vec's analogies: each vector is scaled to length 1, the
query is the mean of the vectors with their signs, the others are ranked by their product with it, and the words of the
query are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastdissect.errors import SettingError
from fastdissect.methods.vectors.embedding import Embedding
from fastdissect.methods.vectors.learned import embedding_of
from fastdissect.methods.vectors.nearness import ranked

if TYPE_CHECKING:
    import pandas as pd

    from fastdissect.methods.vectors.learned import Vectors

__all__ = ["Query", "arithmetic", "query_rows", "read_query"]

_SIGN = re.compile(r"(?:^|(?<=\s))([+-])(?=\s|$)")
_SHORTEST = 1e-9  # of the mean: below, its vectors cancel and it has no direction


class Query(NamedTuple):
    """What is added and what is taken away, by name or number."""

    positive: tuple[str | int, ...]
    negative: tuple[str | int, ...]

    def __str__(self) -> str:
        rest = "".join(f" - {name}" for name in self.negative)
        return (" + ".join(map(str, self.positive)) + rest).strip()


def read_query(text: str) -> Query:
    """Read "sky + red-c - blue-c": signs stand between spaces, so that names may hold them.

    Raises:
        SettingError: a sign without a name beside it.

    >>> read_query("grass + blue-c - green-c")
    Query(positive=('grass', 'blue-c'), negative=('green-c',))
    """
    parts = _SIGN.split(text.strip())
    first, rest = parts[0], parts[1:]
    terms = [("+", first)] if first else []
    terms += list(zip(rest[::2], rest[1::2], strict=True))
    if not terms or any(not name.strip() or name.strip() in "+-" for _, name in terms):
        raise SettingError(
            "expected names with + or - between them, with spaces around the signs, such as "
            f"'sky + red-c - blue-c'; got {text!r}"
        )
    return Query(
        tuple(name.strip() for sign, name in terms if sign == "+"),
        tuple(name.strip() for sign, name in terms if sign == "-"),
    )


def query_rows(embedding: Embedding, query: Query) -> tuple[list[int], list[int]]:
    """Return the rows of what is added and of what is taken away.

    Raises:
        SettingError: an unknown concept, none at all, or one on both sides.
    """
    plus, minus = ([embedding.find(name) for name in names] for names in query)
    if not plus and not minus:
        raise SettingError("expected at least one concept in the query; got none")
    both = sorted(set(plus) & set(minus))
    if both:
        raise SettingError(
            f"expected each concept on one side of the query; {embedding.names[both[0]]!r} is on both"
        )
    return plus, minus


def arithmetic(
    found: Vectors,
    query: str | Query | None = None,
    *,
    positive: Iterable[str | int] = (),
    negative: Iterable[str | int] = (),
    k: int = 10,
    unlearned: bool = False,
) -> pd.DataFrame:
    """Return the concepts nearest to a sum of vectors, the query's own left out.

    Args:
        found: `ConceptVectors` or an `Embedding`.
        query: "grass + blue-c - green-c"; or `positive` and `negative`: names or numbers of concepts. A name given
            twice counts twice.
        unlearned: rank concepts whose score on val is 0, too.

    Returns:
        pd.DataFrame: rank (from 1), concept, category, score (the product of the mean of the signed unit vectors,
        which is not scaled to length 1 again, with the concept's unit vector), cosine, learned.

    Raises:
        SettingError: an unknown concept, none at all, one on both sides, one that is not learned (unless
            `unlearned`), or vectors that cancel.

    Example:
        >>> arithmetic(vectors, "grass + blue-c - green-c")            # doctest: +SKIP
    """
    import pandas as pd

    embedding = embedding_of(found)
    if query is None:
        given = Query(tuple(positive), tuple(negative))
    else:
        given = read_query(query) if isinstance(query, str) else query
    plus, minus = query_rows(embedding, given)
    own = np.zeros(len(embedding), np.bool_)
    own[plus + minus] = True
    empty = [embedding.names[row] for row in np.flatnonzero(own & ~embedding.learned)]
    if empty and not unlearned:
        raise SettingError(
            f"the vectors of {', '.join(map(repr, empty))} mean nothing: their masks never meet the concept on val; leave "
            "them out, or take them all the same (unlearned=True, --all-concepts)"
        )
    signs = np.array([1.0] * len(plus) + [-1.0] * len(minus))
    mean = (signs[:, None] * embedding.vectors[plus + minus]).mean(0)
    length = float(np.linalg.norm(mean))
    if length < _SHORTEST:
        raise SettingError(f"the vectors of {given!s:.200} cancel: the sum points nowhere")
    score = embedding.cosines_to(mean)
    rows = ranked(embedding, score, k, own, unlearned)
    table = {
        "rank": np.arange(1, len(rows) + 1),
        "concept": np.array([*embedding.names, ""], dtype=object)[rows],
        "category": embedding.category_names[rows],
        "score": score[rows],
        "cosine": np.clip(score[rows] / length, -1, 1),
        "learned": embedding.learned[rows],
    }
    return pd.DataFrame(table).astype({"concept": "str", "category": "str"})
