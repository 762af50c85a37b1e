"""fastdissect: what has this network learned? Exact, one-pass Network Dissection with a compiled core.

    d = fd.dissect(model, data, layers=["layer3", "layer4"])     the whole chain
    fd.pilot, fd.dissect_shard, fd.merge                         the same in parts, on machines that share a folder
    q = fd.TopQuantile(units, quantile=0.005, total=n)           exact thresholds of a stream
    fd.count_intersections(activations, thresholds, labels)      the tally on plain arrays

Importing the package loads neither torch nor numba: names are looked up when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastdissect import compat as compat
    from fastdissect import datasets as datasets
    from fastdissect import methods as methods
    from fastdissect import models as models
    from fastdissect import reports as reports
    from fastdissect.codes import Codes
    from fastdissect.directions import Directions
    from fastdissect.dissection import dissect
    from fastdissect.errors import FastdissectError
    from fastdissect.exporting import export
    from fastdissect.intersections import count_intersections
    from fastdissect.kernels import set_num_threads
    from fastdissect.kernels.selection import available as backends
    from fastdissect.merging import merge
    from fastdissect.results import Dissection, LayerDissection, load
    from fastdissect.sharding import dissect_shard, pilot
    from fastdissect.tally import read_tally
    from fastdissect.top_k_encoding import top_k_codes
    from fastdissect.top_quantile import TopQuantile
    from fastdissect.types import Counts, Profile

__version__ = "0.1.0"

_WHERE = {
    "Codes": "codes",
    "Counts": "types",
    "Directions": "directions",
    "Dissection": "results",
    "FastdissectError": "errors",
    "LayerDissection": "results",
    "Profile": "types",
    "TopQuantile": "top_quantile",
    "backends": "kernels.selection",
    "count_intersections": "intersections",
    "dissect": "dissection",
    "dissect_shard": "sharding",
    "export": "exporting.writing",
    "load": "results",
    "merge": "merging",
    "pilot": "sharding",
    "read_tally": "tally",
    "set_num_threads": "kernels",
    "top_k_codes": "top_k_encoding",
}
_MODULES = ("compat", "datasets", "methods", "models", "reports")

__all__ = [
    "Codes",
    "Counts",
    "Directions",
    "Dissection",
    "FastdissectError",
    "LayerDissection",
    "Profile",
    "TopQuantile",
    "__version__",
    "backends",
    "compat",
    "count_intersections",
    "datasets",
    "dissect",
    "dissect_shard",
    "export",
    "load",
    "merge",
    "methods",
    "models",
    "pilot",
    "read_tally",
    "reports",
    "set_num_threads",
    "top_k_codes",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"fastdissect.{name}")
    if name not in _WHERE:
        raise AttributeError(f"module 'fastdissect' has no attribute {name!r}")
    found = getattr(
        importlib.import_module(f"fastdissect.{_WHERE[name]}"), "available" if name == "backends" else name
    )
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
