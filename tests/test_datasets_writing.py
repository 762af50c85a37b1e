from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fastdissect.datasets import Broden, Dataset, Folder, Shapes, resize_labels, write_broden
from fastdissect.datasets.naming import split_fraction
from fastdissect.errors import DataError, OutputError, SettingError
from fastdissect.types import Concepts, LabelChannel


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def assert_equal_sets(source: Dataset, copy: Dataset, scale: float) -> None:
    place = {copy.image_name(i): i for i in range(len(copy))}
    assert len(place) == len(copy) == len(source)
    assert copy.concepts.numbers.tolist() == source.concepts.numbers.tolist()
    assert copy.concepts.names == source.concepts.names
    assert copy.concepts.categories == source.concepts.categories
    for index in range(len(source)):
        other = place[source.image_name(index)]
        pixels = source.read_image(index)[0]
        assert np.array_equal(copy.read_image(other)[0], pixels)
        size = tuple(max(1, int(side * scale)) for side in pixels.shape[:2])
        expected, found = source.read_labels(index), copy.read_labels(other)
        assert [c.category for c in found] == [c.category for c in expected]
        for a, b in zip(expected, found, strict=True):
            if isinstance(a.labels, int):
                assert b.labels == a.labels
            else:
                assert np.array_equal(b.labels, resize_labels(a.labels, size))


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    images=st.integers(1, 12),
    size=st.integers(16, 41),
    seed=st.integers(0, 10**6),
    scale=st.sampled_from([0.5, 1.0, 0.3]),
)
def test_shapes_come_back_as_they_were(
    tmp_path_factory, images: int, size: int, seed: int, scale: float
) -> None:
    source = Shapes(images=images, size=size, seed=seed)
    home = write_broden(source, tmp_path_factory.mktemp("w") / "set", mask_scale=scale)
    assert_equal_sets(source, Broden(home), scale)


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    return write_broden(Shapes(images=150, size=40, seed=2), tmp_path_factory.mktemp("written") / "set")


def test_primary_categories_survive(written: Path) -> None:
    assert Broden(written).concepts.category.tolist() == Shapes().concepts.category.tolist()


def test_splits_and_order_follow_the_md5_rule(written: Path) -> None:
    index = rows(written / "index.csv")
    fractions = []
    for row in index:
        head = hashlib.md5(row["image"].encode()).hexdigest()[:16]
        fractions.append(int(head, 16) / 2**64)
        assert row["split"] == ("train" if fractions[-1] <= 0.7 else "val")
        assert split_fraction(row["image"]) == fractions[-1]
    assert fractions == sorted(fractions)
    assert {row["split"] for row in index} == {"train", "val"}


def test_tables_are_what_a_brute_force_count_says(written: Path) -> None:
    data = Broden(written)
    names = data.concepts.categories
    images = {c: {} for c in names}
    coverage = {c: {} for c in names}
    for index in range(len(data)):
        for number, category in enumerate(names):
            planes: dict[int, np.ndarray] = {}
            for channel in data.read_labels(index):
                if channel.category != number:
                    continue
                labels = np.broadcast_to(channel.labels, (20, 20))
                for label in set(labels.ravel().tolist()) - {0}:
                    planes[label] = planes.get(label, np.zeros((20, 20), bool)) | (labels == label)
            for label, plane in planes.items():
                images[category][label] = images[category].get(label, 0) + 1
                coverage[category][label] = coverage[category].get(label, 0) + plane.mean()
    for category in names:
        table = rows(written / f"c_{category}.csv")
        assert {int(r["number"]): int(r["frequency"]) for r in table} == images[category]
        for r in table:
            assert float(r["coverage"]) == pytest.approx(coverage[category][int(r["number"])], abs=1e-9)
        assert [int(r["code"]) for r in table] == list(range(1, len(table) + 1))
        keys = [(-int(r["frequency"]), -float(r["coverage"])) for r in table]
        assert keys == sorted(keys)
    for r in rows(written / "label.csv"):
        label = int(r["number"])
        assert int(r["frequency"]) == sum(images[c].get(label, 0) for c in names)
        assert float(r["coverage"]) == pytest.approx(sum(coverage[c].get(label, 0) for c in names), abs=1e-9)
        cells = [item.rstrip(")").split("(") for item in r["category"].split(";")]
        assert {c: int(n) for c, n in cells} == {c: images[c][label] for c in names if label in images[c]}
        counts = [int(n) for _, n in cells]
        assert counts == sorted(counts, reverse=True)
    for r in rows(written / "category.csv"):
        known = images[r["name"]]
        expected = (min(known), max(known), len(known), sum(known.values()))
        assert (int(r["first"]), int(r["last"]), int(r["count"]), int(r["frequency"])) == expected


class Tricky(Dataset):
    """Names that collide with masks, sizes that differ, a label twice in a category, one that never occurs."""

    name = "tricky"
    concepts = Concepts(
        numbers=np.array([1, 256, 65535]),
        names=('<script>"x"</script>', "a,b\nc", "never"),
        category=np.array([0, 1, 1]),
        categories=("object", "part"),
    )
    names = ("a.png", "a_object.png", "b/a", "a.jpg")

    def __len__(self) -> int:
        return len(self.names)

    def image_name(self, index: int) -> str:
        return self.names[index]

    def read_image(self, index: int):
        return np.full((7, 9 + index, 3), 9 * index, np.uint8), "no digest"

    def read_labels(self, index: int):
        labels = np.zeros((7, 9 + index), np.uint16)
        labels[2:, 3:] = 256
        return (
            LabelChannel(0, labels // 256),
            LabelChannel(0, 1),
            LabelChannel(1, labels),
            LabelChannel(1, labels[::-1].copy()),
        )

    def files(self, index: int):
        return ()

    def fingerprint(self) -> str:
        return "0"


def test_any_data_set_can_be_written(tmp_path: Path) -> None:
    home = write_broden(Tricky(), tmp_path / "deep" / "set")
    source = Tricky()
    source.names = ("a.png", "a_object.png", "b/a.png", "a.jpg")  # type: ignore[assignment]
    assert_equal_sets(source, Broden(home), 0.5)
    (never,) = [r for r in rows(home / "c_part.csv") if r["number"] == "65535"]
    assert (never["frequency"], never["coverage"]) == ("0", "0.0")
    # The label of the whole image and the same label in a map: each pixel once.
    assert float(rows(home / "c_object.csv")[0]["coverage"]) == 4.0


def test_image_files_are_copied_as_they_are(tmp_path: Path) -> None:
    home = tmp_path / "mine"
    (home / "images").mkdir(parents=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(
        home / "images" / "photo.jpg"
    )
    (home / "labels.csv").write_text("number,name,category\n3,cat,object\n")
    copy = write_broden(Folder(home), tmp_path / "copy")
    assert (copy / "images" / "photo.jpg").read_bytes() == (home / "images" / "photo.jpg").read_bytes()
    assert_equal_sets(Folder(home), Broden(copy), 0.5)


def test_a_source_that_lost_an_image_is_named(tmp_path: Path) -> None:
    copy = write_broden(Shapes(images=3, size=16), tmp_path / "set")
    data = Broden(copy)
    data.files(1)[0].unlink()
    with pytest.raises(DataError, match="is missing"):
        write_broden(data, tmp_path / "again")
    assert list(tmp_path.iterdir()) == [copy]


class Fails(Shapes):
    def read_labels(self, index: int):
        if index == 3:
            raise KeyboardInterrupt
        return super().read_labels(index)


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_broden(Fails(images=6, size=16), tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    with pytest.raises(OutputError, match="exists already"):
        write_broden(Shapes(images=2, size=16), tmp_path / "set")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_broden(Shapes(images=2, size=16), tmp_path / "file" / "set")


@pytest.mark.parametrize("scale", [0, -1, 1.5, float("nan")])
def test_mask_scale_out_of_range(tmp_path: Path, scale: float) -> None:
    with pytest.raises(SettingError, match="mask_scale"):
        write_broden(Shapes(images=1), tmp_path / "set", mask_scale=scale)


@pytest.mark.parametrize("name", ["../a.png", "/a.png", "a;b.png", "a\nb.png"])
def test_names_that_the_format_cannot_hold(tmp_path: Path, name: str) -> None:
    data = Tricky()
    data.names = (name,)  # type: ignore[assignment]
    with pytest.raises(DataError, match="cannot be written"):
        write_broden(data, tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    write_broden(
        Shapes(images=3, size=16), tmp_path / "set", progress=lambda done, all: told.append((done, all))
    )
    assert told == [(1, 3), (2, 3), (3, 3)]
