"""The warning on the figures of a comparison that was forced."""

from __future__ import annotations

import math
from typing import Any

from fastdissect.methods.comparison.comparing import Comparison
from fastdissect.reports.studies.figures import stamp

__all__ = ["stamp_if", "stamp_room"]

_LINE, _LETTERS = 0.15, 90  # inches a line, and what fits on one of 6.5 inches


def stamp_if(figure: Any, comparison: Comparison) -> None:
    """Write onto the figure in what the runs differ, where they were compared by force."""
    if comparison.warning:
        stamp(figure, comparison.warning)


def stamp_room(comparison: Comparison) -> float:
    """Return the inches that the warning takes, so that the panels keep their height."""
    return _LINE * math.ceil(len(comparison.warning) / _LETTERS)
