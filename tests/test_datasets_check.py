from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastdissect.datasets import Broden, Shapes, check_dataset, write_broden
from fastdissect.datasets.overlays import _colour, _overlay
from fastdissect.datasets.tallying import LabelTally
from fastdissect.errors import DataError, OutputError, SettingError
from fastdissect.types import LabelChannel


def test_totals_are_those_of_a_brute_force_count() -> None:
    data = Shapes(images=40, size=32, seed=5)
    report = check_dataset(data)
    numbers = data.concepts.numbers.tolist()
    images, pixels = np.zeros(61, int), np.zeros(61, int)
    category_images, category_pixels = np.zeros(6, int), np.zeros(6, int)
    unlabelled = 0
    for index in range(40):
        channels = data.read_labels(index)
        drawn = any(isinstance(c.labels, np.ndarray) for c in channels)
        size = (32, 32) if drawn else (16, 16)
        present = set()
        for category in range(6):
            planes = [np.broadcast_to(c.labels, size) for c in channels if c.category == category]
            if not planes:
                continue
            stack = np.stack(planes)
            category_images[category] += stack.any()
            category_pixels[category] += stack.any(axis=0).sum()
            for number in set(stack.ravel().tolist()) - {0}:
                pixels[numbers.index(number)] += (stack == number).any(axis=0).sum()
                present.add(number)
        for number in present:
            images[numbers.index(number)] += 1
        unlabelled += not present
    assert report.concept_images.tolist() == images.tolist()
    assert report.concept_pixels.tolist() == pixels.tolist()
    assert report.category_images.tolist() == category_images.tolist()
    assert report.category_pixels.tolist() == category_pixels.tolist()
    assert report.unlabelled == unlabelled
    assert report.image_sizes == {(32, 32): 40}
    assert (report.images, report.checked, report.problem_count, report.ok) == (40, 40, 0, True)
    assert report.splits == {}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return write_broden(Shapes(images=70, size=16), tmp_path / "set")


def test_it_goes_on_after_problems(home: Path) -> None:
    data = Broden(home)
    masks = data.files(5)[1:]
    assert masks
    masks[0].write_bytes(b"no png")
    data.files(9)[0].unlink()
    report = check_dataset(data)
    assert not report.ok
    assert report.problem_count == 2
    assert report.problems[0].startswith(data.image_name(5))
    assert "is missing" in report.problems[1]
    assert sum(report.image_sizes.values()) == 68
    assert report.splits == {s: data.splits.count(s) for s in set(data.splits)}


def test_problems_are_bounded_and_counted(home: Path) -> None:
    data = Broden(home)
    for index in range(70):
        data.files(index)[0].unlink()
    report = check_dataset(data, out=home / "sheet.png")
    assert (len(report.problems), report.problem_count) == (50, 70)
    assert report.overlays is None
    assert not (home / "sheet.png").exists()


def test_the_first_images_only_and_progress() -> None:
    told = []
    report = check_dataset(Shapes(images=9, size=16), images=4, progress=lambda a, b: told.append((a, b)))
    assert (report.images, report.checked) == (9, 4)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_contact_sheet_shows_images_and_tints_masks(tmp_path: Path) -> None:
    data = Shapes(images=6, size=32)
    report = check_dataset(data, overlays=3, out=tmp_path / "sheet.png")
    assert report.overlays == tmp_path / "sheet.png"
    assert list(tmp_path.iterdir()) == [tmp_path / "sheet.png"]
    with Image.open(report.overlays) as sheet:
        pixels = np.asarray(sheet).astype(int)
    assert pixels.shape[1] == 8 + 7 * 184
    # The first image is there as it is, and the tiles beside it are tinted where it is labelled.
    expected = Image.fromarray(data.read_image(0)[0]).resize((176, 176), Image.Resampling.BILINEAR)
    assert np.array_equal(pixels[8:184, 8:184], np.asarray(expected))
    for category, name in enumerate(data.concepts.categories):
        left = 8 + (category + 1) * 184
        tile = pixels[8:184, left : left + 176]
        tinted = (tile.max(axis=2) != tile.min(axis=2)).any()
        assert tinted == any(c.category == category for c in data.read_labels(0)), name
    with pytest.raises(OutputError, match="cannot be written"):
        check_dataset(data, out=tmp_path / "nowhere" / "sheet.png")


def test_options_out_of_range() -> None:
    for options in ({"overlays": -1}, {"images": 0}):
        with pytest.raises(SettingError, match="expected overlays >= 0"):
            check_dataset(Shapes(images=1), **options)


def test_a_tally_refuses_what_it_does_not_know_and_counts_nothing() -> None:
    tally = LabelTally(Shapes().concepts)
    good = LabelChannel(0, np.ones((2, 2), np.uint16))
    for wrong in (
        np.full((2, 2), 20, np.uint16),
        np.full((2, 2), 9999, np.uint16),
        20,
        np.ones((3, 2), np.uint16),
    ):
        with pytest.raises(DataError):
            tally.add([good, LabelChannel(1, wrong)], (2, 2))
    assert tally.images.sum() == tally.pixels.sum() == tally.category_images.sum() == 0


def test_names_from_outside_are_drawn_harmlessly(home: Path, tmp_path: Path) -> None:
    text = (home / "label.csv").read_text()
    (home / "label.csv").write_text(text.replace("sky", '"<b>\u4e2d\u6587\n\x1b[31m' + "long " * 30 + '"'))
    report = check_dataset(Broden(home), out=tmp_path / "sheet.png")
    assert report.ok
    assert report.overlays is not None


class Nested(Shapes):
    """Masks of half the size, and three channels of one category over one another."""

    def read_labels(self, index: int):
        house, door, knob = (np.zeros((20, 20), np.uint16) for _ in range(3))
        house[2:18, 2:18], door[6:18, 6:14], knob[10:14, 8:12] = 1, 2, 3
        return LabelChannel(0, house), LabelChannel(0, door), LabelChannel(0, knob)


def test_masks_of_another_size_and_the_speed_are_reported() -> None:
    report = check_dataset(Nested(images=3, size=40))
    assert report.resized == {((40, 40), (20, 20)): 3}
    assert report.resized_images == 3
    assert report.seconds > 0
    assert check_dataset(Shapes(images=2, size=16)).resized == {}


def test_the_sheet_hides_no_channel(tmp_path: Path) -> None:
    data = Nested(images=1, size=40)
    sheet = tmp_path / "sheet.png"
    check_dataset(data, overlays=1, out=sheet)
    with Image.open(sheet) as image:
        tile = np.asarray(image).astype(int)[8:184, 8 + 184 : 8 + 184 + 176]

    def hues(rows: slice, columns: slice) -> set[int]:
        """Which labels' colours occur, outlines left out, by the nearest of them."""
        colours = np.array([_colour(number) for number in (1, 2, 3)])
        area = tile[rows, columns].reshape(-1, 3)
        grey = 110 + 0.45 * data.read_image(0)[0].mean()
        wanted = 0.65 * colours + 0.35 * grey
        near = area[area.sum(axis=1) > 0.75 * wanted.sum(axis=1).min()]
        return set((np.abs(near[:, None] - wanted).sum(axis=2).argmin(axis=1) + 1).tolist())

    # 176 / 20 = 8.8 pixels of the tile a pixel of the mask
    assert hues(slice(24, 48), slice(24, 150)) == {1}
    assert hues(slice(60, 84), slice(60, 116)) == {1, 2}
    assert hues(slice(94, 118), slice(76, 100)) == {1, 2, 3}


def test_a_label_that_two_channels_repeat_is_one_stripe() -> None:
    shown = np.full((20, 20, 3), 90, np.uint8)
    ones, two = np.ones((10, 10), np.uint8), np.full((10, 10), 2, np.uint8)
    once, numbers = _overlay(shown, [ones, two])
    twice, same = _overlay(shown, [ones, ones, two, 1])
    assert np.array_equal(once, twice)
    assert numbers == same == [1, 2]
    empty, none = _overlay(shown, [])
    assert none == []
    assert (empty == empty[0, 0, 0]).all()
