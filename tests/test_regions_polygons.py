from __future__ import annotations

import math
import sys
import warnings

import numpy as np
import pytest

from fastdissect.datasets.regions.polygons import fill_polygons
from fastdissect.errors import BackendError, DataError

BOX = [8.0, 4.0, 24.0, 4.0, 24.0, 12.0, 8.0, 12.0]
SIZE = (20, 40)


def test_a_box_has_its_pixels() -> None:
    pytest.importorskip("pycocotools")
    wanted = np.zeros(SIZE, np.bool_)
    wanted[4:12, 8:24] = True
    found = fill_polygons([BOX], SIZE, "a box")
    assert (found.top, found.left, found.mask.shape) == (4, 8, (8, 16))
    assert (found.whole(SIZE) == wanted).all()
    wanted[10:20, 20:40] = True  # a second outline over a part of the first, up to the corner of the image
    assert (fill_polygons([BOX, [20, 10, 40, 10, 40, 20, 20, 20]], SIZE, "boxes").whole(SIZE) == wanted).all()


@pytest.mark.parametrize("seed", range(40))
def test_any_outline_has_cocos_bits(seed: int) -> None:
    api = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(5, 90, 2))
    polygons = []
    for _ in range(rng.integers(1, 4)):
        x, y = (rng.random((rng.integers(3, 30), 2)) * 1.08 - 0.04).T * np.array([[width], [height]])
        polygons.append(np.stack([x, y], axis=1).round(2).ravel().tolist())  # some points up to 4 % outside
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # its decoder calls NumPy 2 as if it were NumPy 1
        wanted = api.decode(api.merge(api.frPyObjects(polygons, height, width)))
    assert (fill_polygons(polygons, (height, width), "outlines").whole((height, width)) == wanted).all()


def test_an_outline_too_thin_for_a_pixel_is_empty() -> None:
    pytest.importorskip("pycocotools")
    assert not fill_polygons([[3, 3, 3, 3, 3, 3]], SIZE, "a point").mask.any()


@pytest.mark.parametrize("slack", [(1, -2.0), (1, 42.0), (0, -1.0), (0, 21.0)])
def test_how_far_outside_a_point_may_lie(slack: tuple[int, float]) -> None:
    """5 % of 40 columns are 2 pixels; of 20 rows 1, which is the least."""
    pytest.importorskip("pycocotools")
    axis, place = slack
    at = 0 if axis else 1
    outline = BOX.copy()
    outline[at] = place
    fill_polygons([outline], SIZE, "an outline")
    outline[at] = place + math.copysign(0.01, place)
    with pytest.raises(
        DataError, match=rf"an outline: .* {'x' if axis else 'y'} = .* outside its image of 20 x 40"
    ):
        fill_polygons([outline], SIZE, "an outline")


@pytest.mark.parametrize(
    ("polygons", "message"),
    [
        ([], r"has no outline"),
        ([BOX[:-1]], r"at least three points, got \[8.0"),
        ([BOX[:4]], r"at least three points"),
        ([BOX, []], r"at least three points"),
        ([[]], r"at least three points"),
        (BOX, r"flat list .* got 8.0"),
        ([[BOX]], r"flat list"),
        ([[[1, 2], [3]]], r"flat list"),
        ([["1", "2", "3", "4", "5", "6"]], r"flat list"),
        ([[1, 2, 3, 4, 5, None]], r"flat list"),
        ([[2**80, 2, 3, 4, 5, 6]], r"flat list"),
        ([[True] * 6], r"flat list"),
        ([[1, 2, 3, 4, 5, math.nan]], r"y = nan"),
        ([[math.inf, 2, 3, 4, 5, 6]], r"x = inf"),
        ([[1, 2, 3, 4, 1e300, 6]], r"x = 1e\+300"),
    ],
)
def test_what_is_no_outline(polygons: list, message: str) -> None:
    with pytest.raises(DataError, match=r"annotation 7.*" + message):
        fill_polygons(polygons, SIZE, "annotation 7")


def test_without_pycocotools_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools.mask", None)
    with pytest.raises(BackendError, match=r"pip install 'fastdissect\[coco\]'"):
        fill_polygons([BOX], SIZE, "a box")
