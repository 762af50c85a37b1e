"""Regions of an image in the ways data sets write them: run lengths, polygons, overlapping masks -> label maps.

run_lengths   COCO's two forms of run-length coding -> masks
polygons      outlines -> masks
overlapping   masks that may overlap -> as few label maps as hold them all
"""

from __future__ import annotations
