"""Do the vectors' sums and neighbours make sense? Every concept is asked, none is chosen, chance is measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from labels import Overlaps
from numpy.typing import NDArray

from fastdissect.methods.vectors import Embedding, best_sums, category_mix, neighbours_table, set_distances

__all__ = ["Nearness", "Sums", "composed_sums", "nearness", "relabelled_share", "related_sums"]

DRAWS = 1000
Floats = NDArray[np.float64]


class Sums(NamedTuple):
    """Where the right pair of words stands among all pairs, for each composed concept."""

    names: tuple[str, ...]
    found: tuple[tuple[str, str], ...]  # the best pair of each
    rank: NDArray[np.int64]  # [composed], 0: the right pair is the best one
    pairs: int
    colour: float  # share whose nearest colour is the right one
    thing: float
    first: float  # share with rank 0
    first_by_chance: float  # the same, each vector with another composed concept's words
    p: float  # how often names at random give as large a share
    colours: int
    things: int


def composed_sums(
    found: Embedding, pairs: Mapping[str, tuple[str, str]], words: tuple[str, ...]
) -> Sums | None:
    """Hold each composed concept against the sum of every pair of words; None: too few of them have vectors."""
    row = {name: i for i, name in enumerate(found.names) if found.learned[i]}
    known = [name for name in words if name in row]
    names = [n for n, two in pairs.items() if n in row and all(word in row for word in two)]
    if len(names) < 2:
        return None
    place = {name: i for i, name in enumerate(known)}
    base = found.vectors[[row[name] for name in known]]
    one, other = np.triu_indices(len(known), 1)
    near = found.vectors[[row[name] for name in names]] @ base.T  # [composed, words]
    length = np.maximum(np.linalg.norm(base[one] + base[other], axis=1), 1e-9)
    cosine = (near[:, one] + near[:, other]) / length  # [composed, pairs], with the sum of the two
    at = {frozenset(two): i for i, two in enumerate(zip(one.tolist(), other.tolist(), strict=True))}
    right = [at[frozenset(place[word] for word in pairs[name])] for name in names]
    # rank[i, j]: of the words of composed concept j, for the vector of i
    rank = np.array([np.searchsorted(np.sort(-own), -own[right] - 1e-12) for own in cosine])
    best = [(known[one[i]], known[other[i]]) for i in cosine.argmax(1)]
    first = float((rank.diagonal() == 0).mean())
    rng, order = np.random.default_rng(0), np.arange(len(names))
    drawn = np.array([(rank[order, rng.permutation(order)] == 0).mean() for _ in range(DRAWS)])
    nearest, sizes = [], []
    for which in (0, 1):
        own = sorted({place[pairs[n][which]] for n in names})
        picked = [known[own[i]] for i in near[:, own].argmax(1)]
        nearest.append(float(np.mean([w == pairs[n][which] for w, n in zip(picked, names, strict=True)])))
        sizes.append(len(own))
    return Sums(
        tuple(names), tuple(best), rank.diagonal().copy(), len(one), nearest[0], nearest[1], first,
        float(drawn.mean()), float((1 + (drawn >= first).sum()) / (1 + DRAWS)), sizes[0], sizes[1],
    )  # fmt: skip


class Nearness(NamedTuple):
    """Neighbours against what the labels say."""

    concepts: int
    touching: float  # share of the concepts whose nearest neighbour shares pixels with them
    touching_by_chance: float  # share of all pairs that share pixels
    most: float  # share whose nearest neighbour is the concept that shares most pixels
    correlation: float  # of cosine and overlap, Spearman's, over all pairs
    p: float  # how often names at random give as much
    same: float  # share of the five nearest that are of the concept's own category
    same_by_chance: float


def nearness(found: Embedding, labels: Overlaps) -> Nearness:
    """Compare the nearest neighbours of all learned concepts with the pixels that concepts share."""
    rows = found.rows()
    at = [labels.names.index(found.names[row]) for row in rows]
    overlap = labels.jaccard[np.ix_(at, at)].copy()
    np.fill_diagonal(overlap, -1)
    name = {found.names[row]: i for i, row in enumerate(rows)}
    first = neighbours_table(found, 1)
    nearest = np.array([name[n] for n in first["neighbour"]])
    every = np.arange(len(rows))
    upper = np.triu_indices(len(rows), 1)
    cosine = _ranks(found.cosines()[np.ix_(rows, rows)][upper])
    own = _correlation(cosine, _ranks(overlap[upper]))
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(DRAWS):
        order = rng.permutation(every)
        drawn.append(_correlation(cosine, _ranks(overlap[np.ix_(order, order)][upper])))
    mix, category = category_mix(found, 5), found.category[rows]
    inside = mix.iloc[:-1]
    same = sum(row["concepts"] * row[f"{row['category']}-share"] for _, row in inside.iterrows()) / len(rows)
    return Nearness(
        len(rows),
        float((overlap[every, nearest] > 0).mean()),
        float((overlap[upper] > 0).mean()),
        float((overlap.argmax(1) == nearest).mean()),
        own,
        float((1 + (np.array(drawn) >= own).sum()) / (1 + DRAWS)),
        float(same),
        float(np.mean([((category == q).sum() - 1) / (len(rows) - 1) for q in category])),
    )


def related_sums(found: Embedding, labels: Overlaps) -> tuple[float, float]:
    """Share of the concepts both of whose best two words share pixels with them; and of all pairs of words."""
    rows = found.rows()
    place = {found.names[row]: labels.names.index(found.names[row]) for row in rows}
    met = labels.shared > 0
    table = best_sums(found)
    told = [
        met[place[c], place[a]] and met[place[c], place[b]]
        for c, a, b in table[["concept", "first", "second"]].to_numpy()
    ]
    others = met[np.ix_(list(place.values()), list(place.values()))].sum(1) - 1
    left = len(rows) - 1
    return float(np.mean(told)), float(np.mean(others * (others - 1) / (left * (left - 1))))


def relabelled_share(first: Embedding, second: Embedding) -> tuple[int, float, float]:
    """Distance of two networks' vectors: shared concepts, mean distance, and its share of what names at random give."""
    found = set_distances(first, second)
    cosines = []
    for one in (first, second):
        own = [one.names.index(name) for name in found.shared]
        cosines.append(one.cosines()[np.ix_(own, own)])
    rng, count = np.random.default_rng(0), len(found.shared)
    drawn = []
    for _ in range(DRAWS):
        order = rng.permutation(count)
        drawn.append(float(np.square(cosines[0] - cosines[1][np.ix_(order, order)]).sum()))
    return count, found.total / count, found.total / float(np.mean(drawn))


def _ranks(values: Floats) -> Floats:
    """Ranks; of equal values the mean one."""
    order = np.sort(values)
    return (np.searchsorted(order, values) + np.searchsorted(order, values, side="right")) / 2


def _correlation(a: Floats, b: Floats) -> float:
    return float(np.corrcoef(a, b)[0, 1])
