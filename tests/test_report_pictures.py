"""Pictures: exact inside the mask, dimmed outside; every image decoded once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from report_cases import Photos, make_concepts, plant

from fastdissect.reports.image_reading import TileImages, tile_size
from fastdissect.reports.pictures import Sheets, masked_tile, tile_mask, write_sheets

_MASKS = st.integers(0, 2**36 - 1).map(
    lambda bits: np.array([bits >> i & 1 for i in range(36)], bool).reshape(6, 6)
)


@given(_MASKS, st.integers(0, 999))
def test_nothing_inside_the_mask_is_touched_and_everything_outside_is(mask: np.ndarray, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(60, 200, (6, 6, 3), np.uint8)
    before = pixels.copy()
    tile = masked_tile(pixels, mask)
    assert np.array_equal(pixels, before)
    assert np.array_equal(tile[mask], pixels[mask])
    padded = np.pad(mask, 1)
    near = padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    far = ~mask & ~near
    assert (tile[far].astype(int).mean(axis=-1) < 0.65 * pixels[far].astype(int).mean(axis=-1)).all()
    assert (tile[near & ~mask] > 160).all()  # the line around the mask


def test_masks_are_sharp_at_tile_pixels_and_as_counted_elsewhere() -> None:
    concepts = make_concepts()
    smooth = plant("a", 3, 8, concepts)
    image = int(smooth.top_images(1)[0, 0])
    assert np.array_equal(tile_mask(smooth, 0, image, (64, 64)), smooth.unit_mask(0, image, (64, 64)))
    ringed = plant("a", 3, 8, concepts, mode="half-pixel-zero")
    assert np.array_equal(tile_mask(ringed, 0, image, (16, 16)), ringed.unit_mask(0, image))
    enlarged = tile_mask(ringed, 0, image, (64, 64))
    assert abs(enlarged.mean() - ringed.unit_mask(0, image).mean()) < 0.03


@pytest.mark.parametrize(
    ("image", "tile", "expected"),
    [
        ((224, 224), 112, (224, 224)),
        ((100, 300), 90, (60, 180)),
        ((1, 4000), 112, (2, 224)),
        ((5, 5), 1, (2, 2)),
    ],
)
def test_tiles_keep_the_images_aspect(image: tuple[int, int], tile: int, expected: tuple[int, int]) -> None:
    assert tile_size(image, tile) == expected


def test_each_image_is_decoded_once_while_memory_holds() -> None:
    data = Photos(10)
    uses = [0, 1, 2, 0, 3, 1, 0, 9]
    tiles = TileImages(data, uses, (32, 32))
    for image in uses:
        assert np.array_equal(tiles.read(image), Photos(10).read_image(image)[0])
    assert sorted(data.reads) == [0, 1, 2, 3, 9]
    assert not tiles._held


def test_when_memory_is_short_the_image_wanted_latest_goes() -> None:
    data = Photos(10)
    uses = [0, 1, 2, 1, 2, 0]
    tiles = TileImages(data, uses, (32, 32), budget=2 * 32 * 32 * 3)
    for image in uses:
        tiles.read(image)
        assert len(tiles._held) <= 2
    assert data.reads == [0, 1, 2, 0]  # 0 was wanted after 1 and 2


def test_what_was_wanted_latest_goes_whatever_came_before() -> None:
    """Against a search through all that is held."""
    rng = np.random.default_rng(3)
    uses = rng.integers(0, 12, 300).tolist()
    data, room = Photos(12), 4
    tiles = TileImages(data, uses, (32, 32), budget=room * 32 * 32 * 3)
    held: set[int] = set()
    reads = []
    for turn, image in enumerate(uses):
        tiles.read(image)
        if image not in held:
            reads.append(image)
        following = {i: uses.index(i, turn + 1) for i in {*held, image} if i in uses[turn + 1 :]}
        held = set(following)
        if len(held) > room:
            held.remove(max(held, key=following.__getitem__))
    assert data.reads == reads


def test_sheets_of_some_units(tmp_path: Path) -> None:
    data, layer = Photos(13), plant("a", 7, 13, make_concepts())
    top, units = layer.top_images(3), np.array([1, 4])
    write_sheets(data, [Sheets(layer, np.arange(7), top, tmp_path)], (32, 32))
    (tmp_path / "some").mkdir()
    write_sheets(data, [Sheets(layer, units, top[units], tmp_path / "some")], (32, 32))
    assert sorted(p.name for p in (tmp_path / "some").iterdir()) == ["1.jpg", "4.jpg"]
    for name in ("1.jpg", "4.jpg"):
        assert (tmp_path / "some" / name).read_bytes() == (tmp_path / name).read_bytes()


def test_sheets_hold_the_top_images_in_order(tmp_path: Path) -> None:
    data = Photos(13, (32, 48))
    layer = plant("a", 7, 13, make_concepts())
    size = tile_size((32, 48), 24)
    assert size == (32, 48)
    done: list[tuple[int, int]] = []
    top = layer.top_images(6)
    write_sheets(data, [Sheets(layer, np.arange(7), top, tmp_path)], size, lambda *args: done.append(args))
    assert done == [(i, 7) for i in range(1, 8)]
    assert sorted(data.reads) == sorted({int(i) for i in top.ravel()})
    for unit in range(7):
        with Image.open(tmp_path / f"{unit}.jpg") as file:
            sheet = np.asarray(file).astype(int)
        assert sheet.shape == (2 * 32, 4 * 48, 3)
        for place, image in enumerate(top[unit].tolist()):
            y, x = place // 4 * 32, place % 4 * 48
            mask = layer.unit_mask(unit, image, size)
            expected = masked_tile(Photos(13, (32, 48)).read_image(image)[0], mask).astype(int)
            assert mask.any()
            assert np.abs(sheet[y : y + 32, x : x + 48] - expected).mean() < 12
        assert not sheet[32:, 96:].max() > 12  # six images: the last two places stay empty


def test_an_undetermined_layer_shows_whole_images(tmp_path: Path) -> None:
    data = Photos(5)
    layer = plant("a", 1, 5, make_concepts(), seen=3)
    write_sheets(data, [Sheets(layer, np.arange(1), layer.top_images(1), tmp_path)], (32, 32))
    with Image.open(tmp_path / "0.jpg") as file:
        sheet = np.asarray(file).astype(int)
    whole = Photos(5).read_image(int(layer.top_images(1)[0, 0]))[0].astype(int)
    assert np.abs(sheet - whole).mean() < 8


def test_an_error_while_reading_is_passed_on(tmp_path: Path) -> None:
    class Broken(Photos):
        def read_image(self, index: int) -> tuple[np.ndarray, str]:
            raise OSError("truncated")

    layer = plant("a", 30, 5, make_concepts())
    with pytest.raises(OSError, match="truncated"):
        write_sheets(Broken(5), [Sheets(layer, np.arange(30), layer.top_images(2), tmp_path)], (32, 32))
