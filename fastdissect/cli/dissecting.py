"""What `run`, `rotate` and `sweep` make of the options that they share, and how they end when interrupted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import typer

from fastdissect.cli.options import parse_memory, parse_passes, parse_settings
from fastdissect.cli.terminal import output

__all__ = ["going_on", "parse_items", "parse_machine", "use_threads"]


def parse_items(settings: list[str] | None, **beside: Any) -> dict[str, Any]:
    """Return the profile's items: those of --set, and those that have an option of their own, given once."""
    items = parse_settings(settings or [])
    for name, value in beside.items():
        if value is not None:
            if name in items:
                raise typer.BadParameter("it stands in --set too; give it once", param_hint=f"'--{name}'")
            items[name] = value
    return items


def parse_machine(memory: str | None, device_memory: str | None, passes: str, cache: str) -> dict[str, Any]:
    """Return the arguments of `dissect` that decide how, and not what."""
    return {
        "memory": parse_memory(memory),
        "device_memory": parse_memory(device_memory, "--gpu-memory"),
        "passes": parse_passes(passes),
        "cache": None if cache == "none" else cache,
    }


def use_threads(threads: int | None) -> None:
    """Set the threads of the network and of the kernels; None: leave them."""
    if threads is not None:
        import torch

        import fastdissect

        torch.set_num_threads(threads)
        fastdissect.set_num_threads(threads)


@contextlib.contextmanager
def going_on(fresh: bool) -> Iterator[None]:
    """Ctrl-C inside says how to go on, and ends with 130."""
    try:
        yield
    except KeyboardInterrupt:
        again = "the same command without --fresh" if fresh else "the same command"
        output(stderr=True).print(f"interrupted; {again} goes on where it stopped", soft_wrap=True)
        raise typer.Exit(130) from None
