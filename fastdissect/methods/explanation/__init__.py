"""Explained predictions: the units of a layer that speak for a class, in one image and over a class."""

from __future__ import annotations

from fastdissect.methods.explanation.class_units import ClassUnits, class_units
from fastdissect.methods.explanation.contributions import ClassView, Line
from fastdissect.methods.explanation.explained import Explanation
from fastdissect.methods.explanation.explaining import explain, explain_each

__all__ = [
    "ClassUnits",
    "ClassView",
    "Explanation",
    "Line",
    "class_units",
    "explain",
    "explain_each",
]
