"""Process groups: the other processes of a run, and what they tell each other (torch.distributed, gloo)."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from fastdissect.errors import BackendError

__all__ = ["Ranks", "ranks_here"]

MEET = timedelta(minutes=30)  # until all processes have started
WAIT = timedelta(hours=24)  # for the slowest rank; a dead one is noticed at once


class Ranks:
    """This process among the others.

    Attributes:
        number: from 0 to count - 1.
    """

    def __init__(self, group: Any = None) -> None:
        self.number, self.count = dist.get_rank(group), dist.get_world_size(group)
        self._group = group
        if group is None:
            self._talk(self._meet)

    def _meet(self) -> None:
        self._group = dist.new_group(backend="gloo", timeout=WAIT)

    def among(self, groups: Sequence[Sequence[int]]) -> Ranks:
        """This process among the members of its group; all processes call this together, with all groups."""
        members = [list(group) for group in groups]
        own, _ = dist.new_subgroups_by_enumeration(  # type: ignore[no-untyped-call]
            members, timeout=WAIT, backend="gloo"
        )
        return Ranks(own)

    def gather(self, value: Any) -> list[Any]:
        """The value of every rank (what JSON can hold), on all of them."""
        own = np.frombuffer(json.dumps(value).encode(), np.uint8)
        lengths = self.gather_array(np.array([len(own)], np.int32))[:, 0]
        padded = np.zeros(-(-int(lengths.max()) // 4) * 4, np.uint8)
        padded[: len(own)] = own
        found = self.gather_array(padded.view(np.int32)).view(np.uint8)
        return [json.loads(row[:length].tobytes()) for row, length in zip(found, lengths, strict=True)]

    def gather_array(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Arrays of one shape and dtype (32 bits), stacked."""
        own = torch.from_numpy(np.ascontiguousarray(array).view(np.int32).copy())
        found = [torch.empty_like(own) for _ in range(self.count)]
        self._talk(lambda: dist.all_gather(found, own, group=self._group))
        return np.stack([one.numpy() for one in found]).view(array.dtype)

    def _talk(self, call: Callable[[], Any]) -> None:
        try:
            call()
        except RuntimeError as error:
            raise BackendError(
                f"rank {self.number} of {self.count}: expected all processes to go on together; another one ended or cannot "
                f"be reached ({_reason(error)}); look at what it said; the same command goes on, and keeps what the others "
                "did"
            ) from error


def _reason(error: Exception) -> str:
    """The first words of torch's message, without its source lines."""
    plain = re.sub(r"\[[^\]]*\.(cpp|cc|h):\d+\] ", "", str(error).strip())
    return (
        f"{plain.partition('. This is typically')[0].splitlines()[0] if plain else type(error).__name__:.120}"
    )


def ranks_here() -> Ranks | None:
    """The ranks that this process belongs to: torchrun's, or a process group that was set up before; None: it is alone.

    Raises:
        BackendError: the others do not come.
    """
    if not dist.is_available():
        return None
    if not dist.is_initialized():
        needed = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
        if not all(os.environ.get(name) for name in needed) or os.environ["WORLD_SIZE"] == "1":
            return None
        try:
            if not 0 <= int(os.environ["RANK"]) < int(os.environ["WORLD_SIZE"]):
                raise ValueError("RANK counts from 0 to WORLD_SIZE - 1")
            _meet()
        except (RuntimeError, ValueError) as error:
            given = ", ".join(f"{name}={os.environ[name]}" for name in needed)
            raise BackendError(
                f"expected {os.environ['WORLD_SIZE']} processes to meet, as {given} say; they do not: {_reason(error)}; start "
                "all of them with one launcher (torchrun), or unset RANK to run alone"
            ) from error
    return Ranks() if dist.get_world_size() > 1 else None


def _meet() -> None:
    """Set up torch's default group. A group that torchrun starts again finds the addresses of the dead one in its store,
    under the same names: each start gets names of its own."""
    from torch.distributed import PrefixStore  # type: ignore[attr-defined]  # only where torch was built with it
    from torch.distributed.rendezvous import rendezvous

    store, rank, count = next(rendezvous("env://", timeout=MEET))
    store.set_timeout(MEET)
    own = PrefixStore(f"fastdissect-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
    dist.init_process_group("gloo", store=own, rank=rank, world_size=count, timeout=MEET)
