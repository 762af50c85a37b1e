"""Progress of a run in groups of layers: how they were dealt, and which are done.

    unfinished/checkpoint-groups.json   written when the first group begins, and after each group
    unfinished/group-2/                 checkpoints, streams and planes of the group at hand
    OUT/layers/<layer>/                 files of the groups that are done

A run goes on with the groups as they were dealt, whatever memory there is by then.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastdissect.errors import OutputError
from fastdissect.files import write_bytes
from fastdissect.resuming import refuse_other
from fastdissect.storage.layer_files import LayerEntry

__all__ = ["BY_LAYER", "LARGEST", "GroupDone", "GroupProgress", "read_progress"]

FORMAT = 1
NAME = "checkpoint-groups.json"
# What `Run.record` says of a group: by its layers, of memory, and what adds up
BY_LAYER = ("passes", "plan", "gpu memory", "maps")
LARGEST = ("planner memory", "peak memory")
SUMMED = ("resumed", "forward seconds", "sift seconds", "count seconds")


@dataclass(frozen=True)
class GroupDone:
    """A group that is done.

    Attributes:
        images: their number. content: a digest of the images and their masks, as this group saw them.
        entries: what run.json will say of the layers' files. record: and of how it went.
    """

    images: int
    content: str
    record: dict[str, Any]
    entries: dict[str, LayerEntry] = field(default_factory=dict)


@dataclass
class GroupProgress:
    """How far a run in groups is."""

    folder: Path  # of all that is unfinished
    key: Mapping[str, Any]
    groups: tuple[tuple[str, ...], ...]
    memory: int | None  # bytes for each group
    done: list[GroupDone] = field(default_factory=list)

    def write(self) -> None:
        """Write it down, beside and renamed."""
        done = [
            {**vars(one), "entries": {name: entry._asdict() for name, entry in one.entries.items()}}
            for one in self.done
        ]
        record = {
            "format": FORMAT,
            "key": dict(self.key),
            "groups": self.groups,
            "memory": self.memory,
            "done": done,
        }
        write_bytes(self.folder / NAME, json.dumps(record).encode())

    def forget(self) -> None:
        """Nothing can be gone on from: no checkpoint has been written."""
        (self.folder / NAME).unlink(missing_ok=True)


def read_progress(folder: Path, key: Mapping[str, Any]) -> GroupProgress | None:
    """The progress of the run in groups that lies in a folder; None if there is none.

    Raises:
        OutputError: it belongs to a run with other settings (each difference is named), is from a newer version, or
            is damaged.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_bytes())
        if not record["format"] <= FORMAT:
            raise OutputError(f"{path}: written by a newer version of fastdissect; update, or use --fresh")
        refuse_other(folder.parent, record["key"], key)
        groups = tuple(tuple(map(str, group)) for group in record["groups"])
        done = [
            GroupDone(
                int(one["images"]),
                str(one["content"]),
                _checked_record(one["record"], list(one["entries"])),
                {name: LayerEntry(**entry) for name, entry in one["entries"].items()},
            )
            for one in record["done"]
        ]
        memory = None if record["memory"] is None else int(record["memory"])
        if memory is not None and memory < 1:
            raise ValueError("its memory is no number of bytes")
        if [name for group in groups for name in group] != list(key["layers"]) or not all(groups):
            raise ValueError("its groups are not those of the layers")
        if [tuple(one.entries) for one in done] != list(groups[: len(done)]):
            raise ValueError("what is done is not what the groups say")
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:  # whatever may stand in the file
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{path} is damaged ({error}); begin again with --fresh") from error
    return GroupProgress(folder, key, groups, memory, done)


def _checked_record(record: Any, layers: Sequence[str]) -> dict[str, Any]:
    """What was written of how a group went, if `group_results.joined_record` can take it.

    Raises:
        ValueError: it is no such record.
    """
    numbers, at_most = (record[name] for name in SUMMED), (record[name] for name in LARGEST)
    if (
        set(record) != {*BY_LAYER, *LARGEST, *SUMMED}
        or not all(isinstance(record[name], dict) and set(record[name]) <= set(layers) for name in BY_LAYER)
        or list(record["passes"]) != list(layers)
        or not all(isinstance(value, (int, float)) for value in numbers)
        or not all(value is None or isinstance(value, (int, float)) for value in at_most)
    ):
        raise ValueError("its record of how a group went is none")
    return dict(record)
