"""`shapes`: a seeded generator of images with pixel-exact labels in all six categories of Broden.

    vocabulary   what there is to see: 61 labels, their numbers and categories
    draws        random numbers that depend on (seed, index) alone
    canvas       an image and its labels, painted together
    fills        materials and textures
    objects      things and their parts
    scenes       backgrounds
    picture      one image: what it shows, and which labels it keeps
    dataset      the `Dataset`

Our own design; not from any paper.
"""

from __future__ import annotations

from fastdissect.datasets.shapes.dataset import Shapes

__all__ = ["Shapes"]
