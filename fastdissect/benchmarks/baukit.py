"""baukit's Quantile, from an unchanged checkout.

Only runningstats.py is loaded: the package's __init__ asks for torchvision and for a notebook.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from fastdissect.benchmarks.cases import Case
from fastdissect.benchmarks.quantiles import quantile_of
from fastdissect.benchmarks.work import Found, Work

__all__ = ["quantile"]

BATCH = 64  # images it is given at a time


def quantile(case: Case) -> Work:
    """Quantile with its own resolution (3,072), a batch of images at a time; the transposition of each is inside."""
    import torch

    torch.set_grad_enabled(False)
    torch.manual_seed(0)
    path = Path(case.settings["path"]) / "baukit" / "runningstats.py"
    spec = importlib.util.spec_from_file_location("baukit_runningstats", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    activations = torch.from_numpy(case.activations)

    def run(_: None) -> Found:
        sketch = module.Quantile()
        for first in range(0, case.images, BATCH):
            maps = activations[first : first + BATCH]
            sketch.add(maps.permute(0, 2, 3, 1).reshape(-1, case.units))
        return {"thresholds": sketch.quantiles(float(1 - quantile_of(case))).numpy()}

    return Work(run)
