"""Quantile sketches from PyPI, one a unit, each given a unit's values side by side (that layout is timed apart)."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from fastdissect.benchmarks.cases import Case
from fastdissect.benchmarks.quantiles import float_rows, quantile_of
from fastdissect.benchmarks.work import Found, Work

__all__ = ["crick_tdigest", "datasketches_kll", "datasketches_req"]


def _one_a_unit(case: Case, make: Callable[[], Any], read: str, dtype: type = np.float32) -> Work:
    """A fresh sketch a unit, updated with its whole row at once; `read` is the method that gives a quantile."""
    level = float(1 - quantile_of(case))

    def run(rows: Any) -> Found:
        thresholds = []
        for row in rows:
            sketch = make()
            sketch.update(row)
            thresholds.append(getattr(sketch, read)(level))
        return {"thresholds": np.array(thresholds, np.float32)}

    return Work(run, lambda: float_rows(case).astype(dtype, copy=False))


def datasketches_kll(case: Case) -> Work:
    """Apache DataSketches' KLL with k = 1024."""
    library = importlib.import_module("datasketches")
    return _one_a_unit(case, lambda: library.kll_floats_sketch(1024), "get_quantile")


def datasketches_req(case: Case) -> Work:
    """Apache DataSketches' relative-error sketch with k = 12, accurate at the high ranks."""
    library = importlib.import_module("datasketches")
    return _one_a_unit(case, lambda: library.req_floats_sketch(12, True), "get_quantile")


def crick_tdigest(case: Case) -> Work:
    """crick's t-digest with compression 100; it takes float64."""
    library = importlib.import_module("crick")
    return _one_a_unit(case, lambda: library.TDigest(100.0), "quantile", np.float64)
