"""Comparing runs: detectors side by side, over layers and snapshots, unit by unit, and matched units (METHODS 2.2).

compare(runs)        which units detect something, in every run and layer
unit_changes(a, b)   one layer before and after: kept, changed, gained, lost
match_units(a, b)    which unit of one network behaves as which of another
find_runs(paths)     run folders, and those of a sweep
"""

from __future__ import annotations

from fastdissect.methods.comparison.changes import UnitChanges, unit_changes
from fastdissect.methods.comparison.comparing import Comparison, compare
from fastdissect.methods.comparison.compatibility import differences
from fastdissect.methods.comparison.matching import UnitMatching, match_units
from fastdissect.methods.comparison.run_folders import FoundRun, find_runs

__all__ = [
    "Comparison",
    "FoundRun",
    "UnitChanges",
    "UnitMatching",
    "compare",
    "differences",
    "find_runs",
    "match_units",
    "unit_changes",
]
