"""Sifting again: units whose threshold lies below the bound that was guessed for them.

OUT/shards/again-1.safetensors        {layer: bounds [units]} for the units that failed; nothing of the others
OUT/shards/03-of-16/again-1/          what the third shard then found, as any shard's folder
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.errors import OutputError
from fastdissect.guesses import Guess
from fastdissect.storage.tensors_file import read_tensors, write_tensors

__all__ = ["NOTHING", "Again", "read_rounds", "write_again"]

AGAIN = "again"
NOTHING = np.uint32(0xFFFFFFFF)  # a bound that nothing is above


class Again(NamedTuple):
    """One round: the layers in which units failed, and what each is sifted from now.

    Attributes:
        guesses: of all units of these layers; the bound of a unit that is not sifted again is above everything.
        levels: {layer: int64 [units]}, which of the pilot's tails the guess is; -1: not sifted again.
    """

    round: int
    guesses: Mapping[str, Guess]
    levels: Mapping[str, NDArray[np.int64]]

    @property
    def folder(self) -> str:
        return f"{AGAIN}-{self.round}"


def write_again(out: Path, again: Again) -> None:
    """Write one round."""
    arrays: dict[str, NDArray[Any]] = {}
    for number, (name, guess) in enumerate(again.guesses.items()):
        arrays[f"bounds-{number}"] = guess.bounds
        arrays[f"tied-{number}"] = guess.tied.astype(np.int64)
        arrays[f"levels-{number}"] = again.levels[name]
    record = {"layers": list(again.guesses), "round": again.round}
    write_tensors(out / "shards" / f"{again.folder}.safetensors", arrays, {"record": json.dumps(record)})


def read_rounds(out: Path) -> list[Again]:
    """All rounds, in their order.

    Raises:
        OutputError: a file is damaged.
    """
    rounds: list[Again] = []
    while (path := out / "shards" / f"{AGAIN}-{len(rounds) + 1}.safetensors").exists():
        arrays, text = read_tensors(path)
        try:
            record = json.loads(text["record"])
            guesses, levels = {}, {}
            for number, name in enumerate(record["layers"]):
                tied = np.array(arrays[f"tied-{number}"], bool)
                guesses[name] = Guess(np.array(arrays[f"bounds-{number}"]), tied)
                levels[name] = np.array(arrays[f"levels-{number}"])
            rounds.append(Again(int(record["round"]), guesses, levels))
        except (KeyError, ValueError, TypeError) as error:
            raise OutputError(f"{path} is damaged ({error!r}); remove OUT/shards and begin again") from error
    return rounds
