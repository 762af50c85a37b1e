"""A study kept in a folder, and found again by the same key."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastdissect.errors import OutputError
from fastdissect.files import write_bytes
from fastdissect.methods.factorization.gathering_examples import Examples
from fastdissect.methods.factorization.gathering_plan import Gathering
from fastdissect.methods.factorization.result import Factorization
from fastdissect.methods.factorization.sealing import sealed, unsealed
from fastdissect.methods.factorization.settings import FactorizationSettings

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FactorizationStudy", "RankChoice", "kept_study", "study_key"]

_KEY = "study.json"


@dataclass(frozen=True, eq=False)
class RankChoice:
    """Which rank the curve chose.

    Attributes:
        table: of `RankCurve`: a row a rank. chosen: the rank. why: in a sentence.
    """

    table: pd.DataFrame
    chosen: int
    why: str


@dataclass(frozen=True, eq=False)
class FactorizationStudy:
    """A factorisation, what its examples are, and how its rank was chosen.

    Attributes:
        factorization: its record says how the activations were gathered.
        examples: the rows of its mixtures.
        curve: fit and stability against rank; None where no ranks were tried.
    """

    factorization: Factorization
    examples: Examples
    curve: RankChoice | None = None

    def save(self, folder: str | Path, key: Mapping[str, Any]) -> None:
        """Write the factorisation's files, examples.json and .npz, and study.json, which makes it whole.

        Raises:
            OutputError: they cannot be written.
        """
        place = Path(folder)
        try:
            (place / _KEY).unlink(missing_ok=True)  # until all is there, nothing is
        except OSError as error:
            raise OutputError(
                f"{place / _KEY} cannot be replaced: {error.strerror or error}; remove it, or choose another folder"
            ) from error
        self.factorization.save(place)
        self.examples.save(place)
        told: dict[str, Any] = {"key": key}
        if self.curve is not None:
            table = self.curve.table
            told["curve"] = {
                "table": {str(name): table[name].tolist() for name in table.columns},
                "chosen": self.curve.chosen,
                "why": self.curve.why,
            }
        write_bytes(place / _KEY, json.dumps(sealed(told), indent=1).encode())


def study_key(
    opened: Gathering, settings: FactorizationSettings, rank: int | str, ranks: Sequence[int] | None
) -> dict[str, Any]:
    """What decides a study's factors: the same key finds it again."""
    own = settings.record()
    own.pop("block", None)  # how much is read at a time changes rounding alone
    own["rank"] = rank
    return {**opened.key, "factorization": own, "ranks": None if ranks is None else list(ranks)}


def kept_study(folder: str | Path, key: Mapping[str, Any]) -> FactorizationStudy | None:
    """Return the study that was kept in a folder, if it has this key.

    Raises:
        OutputError: the files are there and damaged.
    """
    place = Path(folder)
    if not (place / _KEY).is_file():
        return None
    try:
        told = unsealed(json.loads((place / _KEY).read_text(encoding="utf-8")))
        if told["key"] != json.loads(json.dumps(key)):
            return None
        curve = told.get("curve")
        choice = None if curve is None else _choice(curve)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(
            f"{place / _KEY} is damaged ({error}); remove the folder and begin again"
        ) from error
    try:
        return FactorizationStudy(Factorization.load(place), Examples.load(place), choice)
    except OutputError as error:  # the same command again would find the same
        raise OutputError(f"{error}; to begin again, remove {place / _KEY}") from error


def _choice(told: Mapping[str, Any]) -> RankChoice:
    import pandas as pd

    return RankChoice(pd.DataFrame(told["table"]), int(told["chosen"]), str(told["why"]))
