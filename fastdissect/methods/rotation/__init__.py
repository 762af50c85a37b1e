"""Random bases: a layer dissected as Q^alpha f(x), Q a random rotation of its units (METHODS 2.1)."""

from __future__ import annotations

from fastdissect.methods.rotation.baselines import random_weights
from fastdissect.methods.rotation.matrices import RotationPath, random_rotation, rotation_power
from fastdissect.methods.rotation.results import RotationStudy
from fastdissect.methods.rotation.study import ALPHAS, rotate

__all__ = [
    "ALPHAS",
    "RotationPath",
    "RotationStudy",
    "random_rotation",
    "random_weights",
    "rotate",
    "rotation_power",
]
