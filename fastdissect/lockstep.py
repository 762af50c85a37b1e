"""Lockstep: processes whose forward passes need each other's, because a network is spread over them.

    FSDP2             each runs images of its own; weights are gathered by all together, so that all run equally many
                      batches: who has fewer runs some of zeros along, who is done already runs all of them so
    tensor parallel   a team runs the same images: who stands further than another (after an interruption) runs those in
                      between once more, and sifts none of them

What is run along is sifted by nobody: results are those of the network as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from fastdissect.activations import LayerHooks
from fastdissect.errors import LayerError, SettingError
from fastdissect.models.parallelism import parallelism
from fastdissect.opening import OpenedRun
from fastdissect.process_group import Ranks
from fastdissect.running import Run, placed
from fastdissect.shards import Shard
from fastdissect.team_units import TeamUnits

__all__ = ["Lockstep"]


class Lockstep:
    """What this process runs, and with whom.

    Attributes:
        shard: its images. team: its units; None: all. peers: those that have the same units of other images.
    """

    def __init__(self, opened: OpenedRun, ranks: Ranks) -> None:
        self.opened, self.ranks, self.team = opened, ranks, None
        found = parallelism(opened.loaded.module, ranks.count)
        self.together, own = found.together, found.team or (ranks.number,)
        teams = list(dict.fromkeys(tuple(team) for team in ranks.gather(own)))
        if sorted(rank for team in teams for rank in team) != list(range(ranks.count)) or (
            len({len(team) for team in teams}) > 1
        ):
            raise SettingError(
                f"expected a network that is spread over teams of equally many of the {ranks.count} processes; got teams "
                f"{', '.join(map(str, teams))}"
            )
        self.shard = Shard(teams.index(own) + 1, len(teams))
        self.members, self.peers = ranks, ranks
        if len(own) > 1:
            self._check_team(own)
            self.members = ranks.among(teams)
            self.peers = ranks.among(list(zip(*teams, strict=True)))
            self.team = TeamUnits(own.index(ranks.number), len(own), self.members.gather)
        if self.spread and opened.settings.forward.compile:
            raise SettingError(
                "expected compile=False with a network that is spread over processes; got True"
            )

    def _check_team(self, team: Sequence[int]) -> None:
        for name, mix in self.opened.settings.directions.items():
            raise LayerError(
                f"{name!r}: expected directions, or parts of channels, of a layer whose units lie in one process; those of "
                f"{mix.layer!r} lie in {len(team)}; dissect the layer itself, or the network without tensor parallel"
            )

    @property
    def spread(self) -> bool:
        """Forward passes need other processes."""
        return self.together or self.team is not None

    def anyone_runs(self, done: bool) -> bool:
        """True if one of those whose forward passes need this one's is not done."""
        return self.spread and not all(self.members.gather(done))

    def begin(self, run: Run) -> int:
        """Agree on what is run along; returns the batches that are left, those included."""
        left, run.joins, run.idle = self._agree(run.position, run.last)
        return left

    def run_along(self, beginning: Callable[[int], None], after_batch: Callable[[], None]) -> None:
        """Take part in the forward passes of the others; this process is done."""
        opened, settings, source = self.opened, self.opened.settings, self.opened.source
        module, device = placed(opened.loaded.module, opened.device)
        hooks = LayerHooks(
            module,
            settings.layers,
            layout=settings.layout,
            tokens=settings.tokens,
            options=settings.forward,
            mixes=settings.directions,
            sparse=True,
            team=self.team,
        )
        example = source.example().to(device)
        hooks.probe(example)
        _, last = self.shard.images(settings.images, source.batch_size)
        left, joins, idle = self._agree(last, last)
        beginning(left)

        def run(images: torch.Tensor) -> None:
            hooks.run(images.to(device), lambda _name, _view: None)
            after_batch()

        for batch in source.batches(joins, planes=False) if joins < last else ():
            if batch.first >= last:
                break
            if batch.first >= joins:
                run(batch.images)
        for _ in range(idle):
            run(example)

    def _agree(self, position: int, last: int) -> tuple[int, int, int]:
        """Batches left, the image to join in at, batches of zeros after the last; `position`: of this process."""
        size = self.opened.source.batch_size
        if self.team is not None:
            joins = min(self.members.gather(position))
            return -(-(last - joins) // size), joins, 0
        own = -(-(last - position) // size)
        if not self.together:
            return own, position, 0
        most = max(self.members.gather(own))
        return most, position, most - own
