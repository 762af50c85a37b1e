"""Compiling: `torch.compile` around the dissected layers. Their hooks, and what stops the pass, stay outside.

A dissected layer, and every module that holds one, is called uncompiled; what each of them does between such
calls is compiled:

    net.forward:   [conv1 bn1 relu]  layer1()  [layer2 layer3]  layer4()     dissected: layer1, layer4
                    one graph        one       one graph        one

Where the graphs are cut depends on the layers of the run, never on a pass: each pass sees the same activations.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn

from fastdissect.errors import BackendError

__all__ = ["CompiledForwards", "compile_errors"]

Forward = Callable[..., Any]
COMPILER = "inductor"
_VERSIONS = 1 << 16  # of one function: torch keeps 8 and then, without an error, stops compiling
log = logging.getLogger("fastdissect")


class CompiledForwards:
    """Compiled forwards of a network's modules; the modules are changed only while these are installed.

    Args:
        module: the network, on its device.
        layers: modules that are hooked, now or in another pass.

    Raises:
        BackendError: torch cannot compile here.
    """

    def __init__(self, module: nn.Module, layers: Iterable[nn.Module]) -> None:
        hooked = {id(layer) for layer in layers}
        self._cuts = {id(m) for m in module.modules() if any(id(inner) in hooked for inner in m.modules())}
        self._forwards: dict[nn.Module, Forward] = {}
        torch.compiler.reset()  # graphs of an earlier run may be cut elsewhere
        self._visit(module)

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Let the network's modules run compiled."""
        from torch._dynamo import config

        before = {module: module.__dict__.get("forward") for module in self._forwards}
        for module, forward in self._forwards.items():
            module.__dict__["forward"] = forward
        try:
            with config.patch(cache_size_limit=_VERSIONS, accumulated_cache_size_limit=_VERSIONS):
                yield
        finally:
            for module, replaced in before.items():
                del module.__dict__["forward"]
                if replaced is not None:
                    module.__dict__["forward"] = replaced

    def _visit(self, module: nn.Module) -> None:
        """Set up a cut, or a module that one calls."""
        if module in self._forwards:
            return
        if isinstance(module, torch.jit.ScriptModule):
            return
        forward: Forward = module.forward
        cut, name = id(module) in self._cuts, type(module).__name__
        if "forward" in module.__dict__:  # by torch.compile, or by what moves it between devices
            if cut:
                log.warning("%s is run as it is, not compiled: its forward was replaced", name)
                self._forwards[module] = _uncompiled(forward)
            return
        inside = [child for child in module.children() if id(child) in self._cuts]
        called = type(module).forward is not nn.Module.forward  # a ModuleList is not
        if inside or not called:
            for child in module.children():  # torch leaves a frame alone where it cannot cut it, as in a loop
                self._visit(child)
        if inside and type(module).forward is nn.Sequential.forward:
            forward = self._sequence(list(module))  # type: ignore[call-overload]
        elif called and not _single(module):
            forward = _compiled(forward)
        if called and (cut or not _single(module)):
            self._forwards[module] = _uncompiled(forward) if cut else forward

    def _sequence(self, children: list[nn.Module]) -> Forward:
        """The calls of a Sequential that holds dissected layers, written out: torch cannot cut its loop."""
        calls: list[Forward] = []
        for cut, group in itertools.groupby(children, lambda child: id(child) in self._cuts):
            run = list(group)
            calls += run if cut or len(run) == 1 else [_compiled(nn.Sequential(*run).forward)]

        def forward(x: Any) -> Any:
            for call in calls:
                x = call(x)
            return x

        return forward


def _single(module: nn.Module) -> bool:
    """One operation of torch's own, which gains nothing by itself."""
    return type(module).__module__.startswith("torch.nn.") and next(module.children(), None) is None


def _uncompiled(forward: Forward) -> Forward:
    """Called between two graphs; what `forward` itself compiles stays compiled."""

    def call(*arguments: Any, **named: Any) -> Any:
        return forward(*arguments, **named)

    cut: Forward = torch.compiler.disable(call)  # type: ignore[no-untyped-call]
    return cut


def _compiled(forward: Forward) -> Forward:
    """Shapes are fixed: with dynamic ones, how a batch is computed would depend on the batches before it."""
    try:
        compiled: Forward = torch.compile(forward, backend=COMPILER, dynamic=False)
    except RuntimeError as error:  # a Python that is too new for this torch
        raise _no_compiler(error) from error
    return compiled


@contextlib.contextmanager
def compile_errors() -> Iterator[None]:
    """Turn torch's errors of compiling into one of ours.

    Raises:
        BackendError: the network cannot be compiled here.
    """
    try:
        yield
    except Exception as error:
        if not _is_compilers(error):
            raise
        raise _no_compiler(getattr(error, "inner_exception", None) or error) from error


def _no_compiler(error: BaseException) -> BackendError:
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return BackendError(
        f"compile: torch.compile failed: {type(error).__name__}: {reason[:300]}; run without --compile "
        "(compile=False), or give torch what it needs: a C++ compiler on the CPU, Triton on a GPU"
    )


def _is_compilers(error: BaseException) -> bool:
    from torch._dynamo.exc import TorchDynamoException

    return isinstance(error, TorchDynamoException) or type(error).__module__.startswith("torch._inductor")
