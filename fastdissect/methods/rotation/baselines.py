"""The random-weights baseline: the same network, its parameters drawn anew.

Source: the untrained AlexNet of Network Dissection (Bau, Zhou et al. 2017), table 2; drawing anew by the modules' own
initialisation is our formulation.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from fastdissect.errors import ModelError

__all__ = ["random_weights"]

_NAMED = 6  # parameters that the error lists


def random_weights(module: nn.Module, seed: int = 0) -> nn.Module:
    """Return a copy of a network on the CPU with every parameter drawn anew, in eval mode.

    Each module's own `reset_parameters` draws them, from torch's CPU generator with this seed; the generator's state
    is given back. Running statistics start again where `reset_parameters` does that (torch's normalisations do); all
    other buffers stay as they are.

    Args:
        module: it is not changed.

    Raises:
        ModelError: a parameter that no `reset_parameters` sets; the message names it.

    >>> trained = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    >>> one, two = random_weights(trained, seed=1), random_weights(trained, seed=1)
    >>> bool((one[0].weight == two[0].weight).all()), bool((one[0].weight == trained[0].weight).any())
    (True, False)
    """
    drawn = copy.deepcopy(module).cpu().eval()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        known = [p for p in drawn.parameters() if p.is_floating_point() or p.is_complex()]
        for parameter in known:  # whatever is still NaN afterwards, nothing has set
            parameter.fill_(torch.nan)
        torch.default_generator.manual_seed(seed)
        for part in drawn.modules():
            reset = getattr(part, "reset_parameters", None)
            if callable(reset):
                reset()
    set_ = {id(parameter) for parameter in known if not bool(torch.isnan(parameter).any())}
    left = [name for name, parameter in drawn.named_parameters() if id(parameter) not in set_]
    if left:
        more = f", ... ({len(left)} in all)" if len(left) > _NAMED else ""
        raise ModelError(
            f"expected every parameter of {type(module).__name__} to be set by its module's reset_parameters(); got "
            f"none for {', '.join(left[:_NAMED])}{more}; give the untrained network yourself (random_model=, "
            "--random-model SPEC)"
        )
    return drawn
