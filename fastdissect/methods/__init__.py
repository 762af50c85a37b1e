"""Studies of a network's units, beyond their labels: functions that take runs or networks and return tables.

    rotate(model, data, layer)                 are units special directions?
    directions(d, matrix)                      any linear map of a layer as units
    chance.chance_level(layer, planes)         is it more than chance? and why 0.04
    sweep(models, data, layers, out=...)       many networks or checkpoints over one data set
    compare(runs)                              networks, layers, checkpoints side by side
    unit_changes(a, b), match_units(a, b)      a layer before and after; units of different networks
    explain(d, images), class_units(d, name)   why did the network decide so? which units speak for a class?
    ablate(d, layer=...)                       what can it no longer do without them?
    net2vec.segmentation_vectors(...)          concepts as combinations of units
    vectors                                    what is like what: neighbours, arithmetic, maps
    semantic_vectors(d, layer)                 concepts as directions of a layer's space
    global_view(d, found)                      what they say of the units, classes and each other
    explain_by_concepts(d, found, images)      and of one decision
    evaluate_vectors(d, found)                 how far these can be trusted
    roll_up(d, relations=...)                  which label is general enough, and what is it part of?
    factorize(model, data, layers)             what has it learned, without any label?

Each has a command; docs/studies.md and docs/command-line.md show them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastdissect.methods import chance as chance
    from fastdissect.methods import net2vec as net2vec
    from fastdissect.methods import rotation as rotation
    from fastdissect.methods import vectors as vectors
    from fastdissect.methods.ablation.ablating import ablate
    from fastdissect.methods.chance.cut import with_cut
    from fastdissect.methods.chance.level import chance_level
    from fastdissect.methods.chance.planes import planes_of
    from fastdissect.methods.comparison import compare, match_units, unit_changes
    from fastdissect.methods.explanation import explain, explain_each
    from fastdissect.methods.explanation.class_units import class_units
    from fastdissect.methods.factorization.factorizing import factorize
    from fastdissect.methods.factorization.factorizing_images import transform_images
    from fastdissect.methods.factorization.gathering import gather_matrices
    from fastdissect.methods.hierarchy.rolling import roll_up
    from fastdissect.methods.linear import directions
    from fastdissect.methods.rotation.study import rotate
    from fastdissect.methods.semantics import explain_by_concepts, semantic_vectors
    from fastdissect.methods.semantics.evaluation import evaluate_vectors
    from fastdissect.methods.semantics.overview import global_view
    from fastdissect.methods.sweeps.sweeping import sweep

_WHERE = {
    "ablate": "ablation.ablating",
    "chance_level": "chance",
    "class_units": "explanation.class_units",
    "compare": "comparison",
    "directions": "linear",
    "evaluate_vectors": "semantics.evaluation",
    "explain": "explanation",
    "factorize": "factorization.factorizing",
    "gather_matrices": "factorization.gathering",
    "transform_images": "factorization.factorizing_images",
    "explain_by_concepts": "semantics",
    "explain_each": "explanation",
    "global_view": "semantics.overview",
    "match_units": "comparison",
    "planes_of": "chance",
    "roll_up": "hierarchy.rolling",
    "rotate": "rotation.study",
    "semantic_vectors": "semantics",
    "sweep": "sweeps.sweeping",
    "unit_changes": "comparison",
    "with_cut": "chance",
}
_MODULES = ("chance", "net2vec", "rotation", "vectors")

__all__ = [
    "ablate",
    "chance",
    "chance_level",
    "class_units",
    "compare",
    "directions",
    "evaluate_vectors",
    "explain",
    "explain_by_concepts",
    "explain_each",
    "factorize",
    "gather_matrices",
    "global_view",
    "match_units",
    "net2vec",
    "planes_of",
    "roll_up",
    "rotate",
    "rotation",
    "semantic_vectors",
    "sweep",
    "transform_images",
    "unit_changes",
    "vectors",
    "with_cut",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"fastdissect.methods.{name}")
    if name not in _WHERE:
        raise AttributeError(f"module 'fastdissect.methods' has no attribute {name!r}")
    found = getattr(importlib.import_module(f"fastdissect.methods.{_WHERE[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
