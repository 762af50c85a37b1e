"""How large the rows are."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Sizes", "quick_sizes", "sizes_for"]


@dataclass(frozen=True)
class Sizes:
    """Numbers of images, units and so on; `sizes_for` gives the table's own."""

    maps: tuple[tuple[int, int, int], ...]  # (units, side, images) of the quantile rows
    base: dict[str, int]  # of the scaling: what is held while one thing varies; "maps" is a side
    points: dict[str, tuple[int, ...]]  # of the scaling
    images: int  # of the rows beside NetDissect-Lite
    dissect_images: int  # of the rows beside davidbau/dissect, which takes some 80 ms an image
    forward_images: int
    units: int = 512  # of the tally and the pipeline
    side: int = 7
    picture: int = 224  # pixels a side; masks have half of it
    small_mask: int = 56  # pixels a side of the masks beside davidbau/dissect
    warm: int = 8  # images to warm up on


def sizes_for(images: int) -> Sizes:
    """All rows in proportion to the images of the NetDissect-Lite rows (500 gives the table's sizes)."""
    few = max(8, images // 5)
    return Sizes(
        maps=((512, 7, 2 * images), (256, 14, images), (64, 56, max(8, images // 4))),
        base=_base(max(32, images // 2), 256, 64),
        points={
            "images": tuple(max(32, images * n // 8) for n in (1, 2, 4, 8)),
            "units": (128, 256, 512, 1024),
            "concepts": (64, 256, 1024, 4096),
            "maps": (7, 14, 28, 56),
        },
        images=images,
        dissect_images=few,
        forward_images=few,
    )


def quick_sizes() -> Sizes:
    """To see that everything runs; the figures mean nothing."""
    return Sizes(
        maps=((32, 7, 64), (16, 14, 32), (8, 56, 8)),
        base=_base(32, 32, 8),
        points={"images": (32, 64), "units": (16, 32), "concepts": (32, 64), "maps": (7, 14)},
        images=24,
        dissect_images=8,
        forward_images=8,
        units=32,
        warm=4,
    )


def _base(images: int, units: int, few_units: int) -> dict[str, int]:
    return {
        "images": images,
        "units": units,
        "concepts": 256,
        "maps": 7,
        "units of the largest map": few_units,  # held at this while the map grows
    }
