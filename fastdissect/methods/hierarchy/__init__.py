"""Labels with hierarchy: a unit's most specific adequate label, and what it is part of.

reading.py                                     a file or a list            -> relations
naming.py building.py graph.py                 labels and relations        -> nodes: labels, and unions of labels
uniting.py                                     label planes                -> planes of unions, and of parts on wholes
counting.py union_counts.py shared_counts.py   retained cells x these      -> counts
choosing.py                                    scores                      -> the adequate node of each unit
wholes.py parts.py                             nodes                       -> what they are part of, and where units see them
rolling.py result.py tables.py                                             -> one layer's roll-up, a run's
"""

from __future__ import annotations

from fastdissect.methods.hierarchy.building import build_hierarchy
from fastdissect.methods.hierarchy.graph import Hierarchy
from fastdissect.methods.hierarchy.reading import check_relations, read_relations
from fastdissect.methods.hierarchy.result import LayerRollUp, RollUp, RollUpSummary
from fastdissect.methods.hierarchy.rolling import roll_up, roll_up_layer

__all__ = [
    "Hierarchy",
    "LayerRollUp",
    "RollUp",
    "RollUpSummary",
    "build_hierarchy",
    "check_relations",
    "read_relations",
    "roll_up",
    "roll_up_layer",
]
