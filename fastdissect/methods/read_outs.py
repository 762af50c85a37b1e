"""Read-outs: the logits of a forward pass, the module that gave them, and what the network makes of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from fastdissect.errors import LayerError
from fastdissect.methods.logits import as_logits, describe, logits_of, near
from fastdissect.methods.tracing import Call, Traced

__all__ = ["After", "ReadOut", "is_linear", "named_logits", "read_logits"]

After = Literal["", "softmax", "log_softmax", "sigmoid", "probabilities"]


class ReadOut(NamedTuple):
    """Where the logits are."""

    call: Call | None  # the linear module that gave them; None: no such module
    logits: Tensor  # [n, classes]
    after: After  # what the network makes of them; "probabilities": they are some already


def is_linear(module: nn.Module) -> bool:
    """Return whether a module can be a linear head: nn.Linear, or a convolution of 1 x 1."""
    if isinstance(module, nn.Conv2d):
        return module.kernel_size == (1, 1) and module.groups == 1
    return isinstance(module, nn.Linear)


def read_logits(traced: Traced, n: int) -> ReadOut:
    """Find the logits behind the network's output: the last linear module whose output it is, or the softmax of.

    A module that is called several times after the layer is passed over: its name does not say which call is meant.

    Raises:
        LayerError: the output is no [n, classes]; the message lists the modules that could be meant.
    """
    times = Counter(call.name for call in traced.calls)
    candidates = [call for call in traced.calls if is_linear(call.module) and times[call.name] == 1]
    try:
        output = logits_of(traced.output)
    except LayerError as error:
        raise LayerError(f"{error}; {_advice(candidates)}") from None
    if len(output) != n:
        raise LayerError(
            f"the network's output: expected a row of logits an image ({n}); got shape {list(output.shape)}; "
            f"{_advice(candidates)}"
        )
    for call in reversed(candidates):
        given = as_logits(call.output, n)
        after = None if given is None else _after(given, output)
        if given is not None and after is not None:
            return ReadOut(call, given, after)
    sums = output.shape[1] > 1 and bool((output >= 0).all()) and near(output.sum(1), torch.ones(n))
    return ReadOut(None, output, "probabilities" if sums else "")


def named_logits(traced: Traced, name: str, n: int) -> ReadOut:
    """The output of the module of that name as logits.

    Raises:
        LayerError: it was not called once after the layer, or gave no [n, classes]; the message lists the modules
            that could be meant.
    """
    calls = [call for call in traced.calls if call.name == name]
    linear = [call for call in traced.calls if is_linear(call.module)]
    if len(calls) != 1:
        raise LayerError(
            f"head {name!r}: expected one call after the layer; got {len(calls) or 'none'}; {_advice(linear)}"
        )
    logits = as_logits(calls[0].output, n)
    if logits is None:
        raise LayerError(
            f"head {name!r}: expected logits [{n}, classes]; got {describe(calls[0].output)}; {_advice(linear)}"
        )
    final = as_logits(traced.output, n)
    after = "" if final is None else _after(logits, final) or ""
    same = (
        call for call in linear if _is(as_logits(call.output, n), logits)
    )  # the last one inside a Sequential
    return ReadOut(calls[0] if calls[0] in linear else next(same, None), logits, after)


def _is(found: Tensor | None, logits: Tensor) -> bool:
    return found is not None and found.shape == logits.shape and torch.equal(found, logits)


def _after(logits: Tensor, output: Tensor) -> After | None:
    """What turns these logits into the network's output; None: nothing that is known."""
    if logits.shape != output.shape:
        return None
    if torch.equal(logits, output):
        return ""
    wide = logits.detach().double()
    if logits.shape[1] > 1:
        if near(output.detach(), wide.softmax(1)):
            return "softmax"
        if near(output.detach(), wide.log_softmax(1)):
            return "log_softmax"
    return "sigmoid" if near(output.detach(), wide.sigmoid()) else None


def _advice(calls: Iterable[Call]) -> str:
    listed = ", ".join(f"{call.name} ({describe(call.output)})" for call in calls)
    if not listed:
        return "no nn.Linear and no 1 x 1 convolution is called after the layer"
    return f"name the module whose output are the logits with --head NAME (head=): {listed}"
