"""How a network is spread over processes, told by its parameters: FSDP2 or tensor parallel (torch's DTensor).

FSDP2             fully_shard(module): each process runs images of its own; every layer's weights are gathered for
                  its call, by all processes together
tensor parallel   parallelize_module(...): the processes of a team run the same images; each has units of its own
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

from torch import nn

from fastdissect.errors import SettingError

__all__ = ["Parallelism", "dtensor_type", "is_fully_sharded", "is_sharded", "parallelism"]


class Parallelism(NamedTuple):
    """What forward passes ask of the processes.

    Attributes:
        together: all processes must call the network equally often: FSDP2.
        team: those that run the same images, in the order of their units; empty: each runs its own.
    """

    together: bool = False
    team: tuple[int, ...] = ()


def dtensor_type() -> Any:
    """torch's DTensor; None where nothing has loaded it, so that there is none."""
    return getattr(sys.modules.get("torch.distributed.tensor"), "DTensor", None)


def is_fully_sharded(module: nn.Module) -> bool:
    """True for a module that `fully_shard` was called on."""
    fsdp = getattr(sys.modules.get("torch.distributed.fsdp"), "FSDPModule", None)
    return fsdp is not None and isinstance(module, fsdp)


def is_sharded(module: nn.Module) -> bool:
    """True for a network whose weights lie in several processes."""
    dtensor = dtensor_type()
    return dtensor is not None and (
        any(isinstance(p, dtensor) for p in module.parameters())
        or any(map(is_fully_sharded, module.modules()))
    )


def parallelism(module: nn.Module, processes: int) -> Parallelism:
    """How a network is spread over so many processes.

    Raises:
        SettingError: over a part of them by FSDP2, by both ways at once, or in several teams of one process.
    """
    dtensor = dtensor_type()
    meshes = {p.device_mesh: p for p in module.parameters() if dtensor and isinstance(p, dtensor)}
    if any(map(is_fully_sharded, module.modules())):
        for mesh, parameter in meshes.items():
            replicas = mesh.ndim == 2 and parameter.placements[0].is_replicate()
            if mesh.size() != processes or (mesh.ndim > 1 and not replicas):
                raise SettingError(
                    f"expected a network that is sharded by FSDP2 over all {processes} processes; got a mesh of "
                    f"{' x '.join(map(str, mesh.shape))}; shard it over all of them (FSDP2 together with tensor "
                    "parallel is not supported: take one of the two)"
                )
        return Parallelism(together=True)
    teams = {tuple(mesh.mesh.flatten().tolist()): mesh.ndim for mesh in meshes}
    if len(teams) > 1 or any(dimensions > 1 for dimensions in teams.values()):
        raise SettingError(
            "expected a tensor-parallel network on one mesh of one dimension; got meshes of the processes "
            f"{', '.join(map(str, teams))}; give parallelize_module one dimension of the mesh (mesh['tp'])"
        )
    return Parallelism(team=next(iter(teams), ()))
