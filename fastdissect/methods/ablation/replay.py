"""Replaying: after one whole pass of a batch, the part behind a layer again and again, with the part before it taken
from what that pass gave.

The modules beside the way from the network to the layer, called before the layer, return what they returned; the
layer does too. All else runs: the containers on the way, whatever they compute by themselves, and everything behind
the layer. So nothing is assumed of the network but that a module gives the same output for the same input, and that
is checked: a replay without a change must give the logits of the whole pass, bit for bit.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fastdissect.methods.tracing import replaced
from fastdissect.models import get_layer, unwrap

__all__ = ["Recording", "skippable"]

LIMIT = 1 << 30  # bytes of outputs that a batch may keep; beyond it whole passes are run


class _NotKeptError(Exception):
    """An output that cannot be kept: of an unknown kind, or too large."""


def skippable(module: nn.Module, layer: str) -> tuple[dict[str, nn.Module], set[str]]:
    """Return {name: module} of those that need not run again before the layer, and which of them nothing reads.

    These are the children of the layer's ancestors, and the layer. In an `nn.Sequential` only what stands right before
    the way to the layer is read by it, and nothing if the layer itself comes next.
    """
    root, target = unwrap(module), get_layer(module, layer)
    names = {child: name for name, child in root.named_modules()}
    places = Counter(child for _, child in root.named_modules(remove_duplicate=False))
    once = {child for child, count in places.items() if count == 1}  # others are read elsewhere too
    way = [(name, child) for name, child in root.named_modules() if _holds(child, target)]
    found: dict[str, nn.Module] = {}
    unread: set[str] = set()
    for _, ancestor in way:
        if ancestor is target:
            continue
        if type(ancestor).forward is nn.Sequential.forward:
            order = list(ancestor._modules.values())
            place = next(n for n, child in enumerate(order) if child is not None and _holds(child, target))
            last = place if order[place] is target else place - 1
            unread |= {names[child] for child in order[: max(last, 0)] if child in once}
        for child in ancestor.children():
            if not _holds(child, target) and not isinstance(child, torch.jit.ScriptModule):
                found[names[child]] = child
    if not isinstance(target, torch.jit.ScriptModule):
        found[names[target]] = target
    return found, unread & set(found)


def _holds(module: nn.Module, target: nn.Module) -> bool:
    return any(inner is target for inner in module.modules())


class Recording:
    """What the modules before a layer gave for one batch."""

    def __init__(self, module: nn.Module, layer: str) -> None:
        self.modules, self.unread = skippable(module, layer)
        self.target = get_layer(module, layer)
        self.in_sequence = any(  # which goes on with what the layer returns
            type(parent).forward is nn.Sequential.forward and any(c is self.target for c in parent.children())
            for parent in unwrap(module).modules()
        )
        self.outputs: dict[str, list[Any]] = {}
        self.bytes = 0
        self.usable = True

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Keep what the modules return until the layer has returned."""
        self.outputs, self.bytes = {name: [] for name in self.modules}, 0
        reached, inside = False, 0

        def keeping(name: str, run: Callable[..., Any]) -> Callable[..., Any]:
            def forward(*args: Any, **kwargs: Any) -> Any:
                nonlocal reached, inside
                inside += 1
                try:
                    output = run(*args, **kwargs)
                finally:
                    inside -= 1
                if self.modules[name] is self.target and not self.in_sequence:
                    # The network may go on with what the layer was given: a copy would not reach it.
                    self.usable = self.usable and not any(given is output for given in args)
                if (
                    not (reached or inside) and self.usable
                ):  # what is called inside another is not called again
                    try:
                        self.outputs[name].append(None if name in self.unread else self._kept(output))
                    except _NotKeptError:
                        self.usable, self.outputs = False, {}
                reached = reached or self.modules[name] is self.target
                return output

            return forward

        with self._forwards(keeping):
            yield

    @contextlib.contextmanager
    def replayed(self) -> Iterator[None]:
        """Modules return what they returned, until the layer has; then they run."""
        reached = False

        def giving(name: str, run: Callable[..., Any]) -> Callable[..., Any]:
            left = iter(self.outputs[name])

            def forward(*args: Any, **kwargs: Any) -> Any:
                nonlocal reached
                output = run if reached else next(left, run)  # `run`: nothing was kept
                reached = reached or self.modules[name] is self.target
                if output is run:
                    return run(*args, **kwargs)
                return args[0] if name in self.unread else _copied(output)

            return forward

        with self._forwards(giving):
            yield

    def forget(self) -> None:
        self.outputs = {}

    @contextlib.contextmanager
    def _forwards(self, wrap: Callable[[str, Callable[..., Any]], Callable[..., Any]]) -> Iterator[None]:
        before = {name: vars(module).get("forward") for name, module in self.modules.items()}
        try:
            for name, module in self.modules.items():
                module.forward = wrap(name, module.forward)
            yield
        finally:
            for name, module in self.modules.items():
                own = before[name]
                if own is not None:
                    module.forward = own
                else:
                    vars(module).pop("forward", None)

    def _kept(self, output: Any) -> Any:
        def count(tensor: Tensor) -> Tensor:
            self.bytes += tensor.numel() * tensor.element_size()
            if self.bytes > LIMIT:
                raise _NotKeptError
            return tensor.clone()

        return _each_tensor(output, count)


def _copied(output: Any) -> Any:
    """A copy, because what comes next may change it in place."""
    return _each_tensor(output, torch.clone)


def _each_tensor(value: Any, do: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return do(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        changed = value
        for entry in value.values():
            new = _each_tensor(entry, do)
            changed = replaced(changed, entry, new) if new is not entry else changed
        return changed
    if isinstance(value, (tuple, list)):
        values = [_each_tensor(entry, do) for entry in value]
        return type(value)(*values) if hasattr(value, "_fields") else type(value)(values)
    raise _NotKeptError
