"""A small transformer, spread over the processes that run `jobs`, and dissected there.

All jobs run one after another in the same processes. What `recorded` names gets all activations, as rank 0 has them;
`Replay` is a network that gives them again.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

import fastdissect as fd
from fastdissect import running, shard_running
from fastdissect.errors import FastdissectError
from fastdissect.opening import open_run

LAYERS = ("patch", "blocks.0", "blocks.0.mlp.fc1", "blocks.1.mlp.act", "blocks.1.mlp.fc2")
WIDTH, HIDDEN, IMAGES, BATCH = 16, 30, 36, 4


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.act, self.fc2 = nn.Linear(WIDTH, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))  # type: ignore[no-any-return]


class Unknown(nn.Module):
    """An activation function that nothing tells from what mixes units."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sin()


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.mlp = nn.LayerNorm(WIDTH), Mlp()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mlp(self.norm(x))  # type: ignore[no-any-return]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, WIDTH, 16, 16)
        self.blocks = nn.Sequential(Block(), Block())
        self.gate = nn.Linear(WIDTH, 1)
        self.head = nn.Linear(WIDTH, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.patch(x).flatten(2).transpose(1, 2))
        return self.head((x * self.gate(x)).mean(1))  # type: ignore[no-any-return]


class Replay(nn.Module):
    """Gives what was recorded of each batch, by layers of the same names; zeros for any other."""

    def __init__(self, recorded: dict[str, dict[str, Tensor]]) -> None:
        super().__init__()
        self.recorded = recorded
        for name in LAYERS:
            parent: nn.Module = self
            for part in name.split(".")[:-1]:
                if not hasattr(parent, part):
                    parent.add_module(part, nn.Module())
                parent = getattr(parent, part)
            parent.add_module(name.rpartition(".")[2], nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        known = self.recorded.get(digest(x))
        like = known or next(iter(self.recorded.values()))
        for name in LAYERS:
            tensor = like[name] if known else torch.zeros(len(x), *like[name].shape[1:])
            nn.Identity.__call__(self.get_submodule(name), tensor)
        return x


def digest(x: Tensor) -> str:
    return hashlib.blake2b(x.contiguous().numpy().tobytes()).hexdigest()


def plain() -> Net:
    torch.manual_seed(0)
    net = Net().eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(3)
    return net


def fsdp(net: Net, mesh: Any = None) -> None:
    from torch.distributed.fsdp import fully_shard

    for block in net.blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(net, mesh=mesh)


def tensor_parallel(net: Net, mesh: Any, **how: Any) -> None:
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    plan = {"blocks.*.mlp.fc1": ColwiseParallel(**how), "blocks.*.mlp.fc2": RowwiseParallel()}
    parallelize_module(net, mesh, plan)


def spread(net: Net, how: str) -> None:
    from torch.distributed.device_mesh import init_device_mesh

    if not dist.is_initialized():
        dist.init_process_group("gloo")
    world = dist.get_world_size()
    if how == "fsdp":
        fsdp(net)
    elif how == "hsdp":
        fsdp(net, init_device_mesh("cpu", (2, world // 2), mesh_dim_names=("replicas", "shards")))
    elif how == "teams":
        tensor_parallel(net, init_device_mesh("cpu", (2, world // 2), mesh_dim_names=("dp", "tp"))["tp"])
    elif how == "fsdp and tp":
        mesh = init_device_mesh("cpu", (2, world // 2), mesh_dim_names=("dp", "tp"))
        tensor_parallel(net, mesh["tp"])
        fsdp(net, mesh["dp"])
    else:
        if how == "tp, hidden parts":
            net.blocks[1].mlp.act = Unknown()  # type: ignore[union-attr]
        local = how in ("tp, local outputs", "tp, hidden parts")
        tensor_parallel(net, init_device_mesh("cpu", (world,)), use_local_output=local)


def outputs(net: nn.Module, images: Tensor) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}

    def hook_of(name: str) -> Any:
        def hook(_module: Any, _arguments: Any, out: Any) -> None:
            found[name] = (out.full_tensor() if hasattr(out, "full_tensor") else out).clone()

        return hook

    handles = [net.get_submodule(name).register_forward_hook(hook_of(name)) for name in LAYERS]
    with torch.no_grad():
        net(images)
    for handle in handles:
        handle.remove()
    return found


def record(net: nn.Module, path: Path) -> None:
    """Run the data set's batches, and write down what all layers give."""
    source = open_run(plain(), f"shapes:images={IMAGES}", LAYERS, batch_size=BATCH, workers=0).source
    recorded: dict[str, dict[str, Tensor]] = {}
    for batch in source.batches(0, planes=False):
        recorded[digest(batch.images)] = outputs(net, batch.images)
    if dist.get_rank() == 0:
        torch.save(recorded, path)


def die_after(checkpoints: int) -> None:
    """End this process, without a word, after so many checkpoints; 0: before it writes its shard."""
    write, done = running.Run.checkpoint, []

    def checkpoint(self: running.Run) -> None:
        write(self)
        done.append(1)
        if len(done) == checkpoints:
            os._exit(9)

    running.Run.checkpoint = checkpoint  # type: ignore[method-assign]
    if not checkpoints:
        shard_running.write_shard = lambda *_: os._exit(9)  # type: ignore[attr-defined]


def job(options: dict[str, Any]) -> tuple[int, str]:
    net: nn.Module = plain()
    if "spoils" in options:
        net.blocks[0].mlp.fc1.bias.data[[5, 20]] = torch.nan  # type: ignore[index,union-attr]
    how, rank = options["how"], int(os.environ["RANK"])
    more: dict[str, Any] = {name: True for name in ("compile", "channels_last") if name in options}
    if how == "replay":
        net = Replay(torch.load(options["recorded"]))
    elif how != "plain":
        spread(net, how)  # type: ignore[arg-type]
        if "recorded" in options:
            record(net, Path(options["recorded"]))
    if options.get("dies") == rank:
        die_after(options["after"])
    if "directions" in options:
        more["directions"] = {"own": fd.Directions("blocks.0.mlp.fc1", torch.eye(HIDDEN)[:3].numpy())}
    if "thresholds" in options:
        more["thresholds"] = {"blocks.0.mlp.fc1": torch.linspace(0, 1, HIDDEN).numpy()}
    run: Any = fd.dissect
    if "shard" in options:
        run, more["shard"] = fd.dissect_shard, "1/2"
    try:
        run(
            net,
            f"shapes:images={IMAGES}",
            options.get("layers", LAYERS),
            out=options["out"],
            batch_size=BATCH,
            workers=0,
            device="cpu",
            cache=None,
            quantile=0.02,
            checkpoint_seconds=1e9 if options.get("forgets") == rank else 0,  # without one it begins again
            progress=False,
            **more,
        )
    except FastdissectError as error:
        return 1, f"{type(error).__name__}: {error}"
    if "trains" in options:  # what was dissected can be trained
        net(torch.randn(2, 3, 112, 112)).sum().backward()
        return 0, "trained"
    return 0, ""


def jobs(todo: list[dict[str, Any]], answers: str) -> int:
    """Run jobs {"how": ..., "out": ..., options}; ANSWERS.RANK gets [code, what was said] of each."""
    found = [job(options) for options in todo]
    Path(f"{answers}.{os.environ['RANK']}").write_text(json.dumps(found))
    return 0
