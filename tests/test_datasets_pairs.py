"""Pairs of (image, labels) from Python: torch data sets, in every form in which they hold images and labels."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scene_cases import PIXELS, SCENES
from token_cases import _name_operators, library
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import Subset, TensorDataset

from fastdissect.datasets import check_dataset
from fastdissect.datasets.pairs.dataset import Pairs
from fastdissect.datasets.pairs.pixels import pixels_of
from fastdissect.errors import DataError
from fastdissect.types import Concepts, LabelChannel

STREET, YARD, EMPTY = SCENES
NUMBERS = {"sky": 1, "car": 2, "cat": 3, "wheel": 4}
CONCEPTS = Concepts(np.arange(1, 5), tuple(NUMBERS), np.array([0, 0, 0, 1]), ("object", "part"))


class Items(TorchDataset[Any]):
    """What a torch data set is at least: a length and items."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]


def label_map(scene: Any, regions: Any) -> Any:
    found = np.zeros(scene.size, np.uint8)
    for region in regions:
        found[region.mask(scene.size)] = NUMBERS[region.label]
    return found


def scene_items(form: str) -> list[Any]:
    """The scenes' pictures, and their labels in one of the forms."""
    items = []
    for scene in SCENES:
        objects, parts = label_map(scene, scene.objects), label_map(scene, scene.parts)
        regions = (*scene.objects, *scene.parts)
        masks = np.array([region.mask(scene.size) for region in regions]).reshape(-1, *scene.size)
        labels = {
            "channels": lambda o=objects, p=parts: np.stack([o, p]),
            "tensor": lambda o=objects, p=parts: torch.from_numpy(np.stack([o, p]).astype(np.int64)),
            "categories": lambda o=objects, p=parts: {
                "object": Image.fromarray(o),
                "part": torch.from_numpy(p),
            },
            "targets": lambda m=masks, r=regions: {
                "boxes": None,
                "masks": torch.from_numpy(m),
                "labels": torch.tensor([NUMBERS[region.label] for region in r], dtype=torch.int64),
            },
        }[form]()
        items.append((scene.pixels, labels))
    return items


@pytest.mark.parametrize("form", ["channels", "tensor", "categories", "targets"])
def test_the_scenes_in_every_form_of_labels(form: str) -> None:
    data = pickle.loads(pickle.dumps(Pairs(Items(scene_items(form)), CONCEPTS)))
    report = check_dataset(data, overlays=0)
    assert report.ok, report.problems
    assert dict(zip(data.concepts.names, report.concept_pixels.tolist(), strict=True)) == PIXELS
    assert data.files(0) == ()
    assert [data.image_name(i) for i in range(3)] == ["00000000", "00000001", "00000002"]
    assert sorted({channel.category for channel in data.read_labels(0)}) == [0, 1]


class Tagged(torch.Tensor):
    """A subclass of tensors, as torchvision's tv_tensors are."""


def vision(name: str) -> Any:
    """A module of torchvision, or a skip."""
    _name_operators()
    return library(f"torchvision.{name}")


@pytest.mark.parametrize(
    "image",
    [
        lambda: STREET.pixels,
        lambda: STREET.pixels[:, ::-1][:, ::-1],  # strides that run backwards
        lambda: Image.fromarray(STREET.pixels),
        lambda: torch.from_numpy(STREET.pixels).permute(2, 0, 1),
        lambda: torch.from_numpy(STREET.pixels).permute(2, 0, 1).float().div(255),
        lambda: torch.from_numpy(STREET.pixels).permute(2, 0, 1).float() * np.float32(1 / 255),
        lambda: STREET.pixels / 255,
        lambda: torch.from_numpy(STREET.pixels).permute(2, 0, 1).as_subclass(Tagged),
        lambda: vision("tv_tensors").Image(torch.from_numpy(STREET.pixels).permute(2, 0, 1)),
    ],
)
def test_images_of_every_form(image: Any) -> None:
    found = pixels_of(image(), "image 0")
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, STREET.pixels)


def test_grey_images_have_three_channels() -> None:
    grey = STREET.pixels[..., 0]
    for image in (grey, grey[:, :, None], torch.from_numpy(grey)[None], Image.fromarray(grey)):
        np.testing.assert_array_equal(pixels_of(image, "image 0"), np.repeat(grey[:, :, None], 3, 2))


def test_all_eight_bit_values_survive_floats() -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    image = np.repeat(values[:, :, None], 3, 2)
    for dtype in (np.float32, np.float64):
        np.testing.assert_array_equal(pixels_of((image / 255).astype(dtype), "image 0"), image)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (
            torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0)),
            r"image 0 has floats .* not k / 255",
        ),
        (torch.full((3, 8, 8), -1.0), "image 0 has floats from -1 to -1"),
        (torch.full((3, 8, 8), 2.0), "not k / 255"),
        (torch.full((3, 8, 8), torch.nan), "not k / 255"),
        (np.full((8, 8, 3), 0.5), "not k / 255"),
        (torch.zeros(8, 8, 3), r"torch array \[8, 8, 3\]; expected \[3, H, W\]"),
        (np.zeros((3, 8, 8), np.uint8), r"numpy array \[3, 8, 8\]; expected \[H, W, 3\]"),
        (np.zeros((8, 8, 4), np.uint8), "expected"),
        (np.zeros((0, 8, 3), np.uint8), "expected"),
        (torch.zeros(8, 8), r"torch array \[8, 8\]"),
        (torch.zeros(3, 8, 8, dtype=torch.int64), "image 0 is int64; expected uint8"),
        (Image.new("I;16", (4, 4)), "PIL image of mode I;16; expected 8 bits"),
        ([[1, 2], [3, 4]], "image 0 is a list; expected a PIL image"),
        (Image.new("RGB", (0, 8)), "PIL image of 8 x 0 pixels"),
        (Image.new("La", (8, 8)), "mode La that cannot be turned into RGB"),
        (torch.zeros(3, 8, 8, device="meta"), "expected a dense tensor with data"),
    ],
)
def test_images_that_are_refused(image: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        pixels_of(image, "image 0")


def labels_of(labels: Any, **options: Any) -> Any:
    return Pairs(Items([(STREET.pixels, labels)]), CONCEPTS, **options).read_labels(0)


def test_classes_count_from_zero() -> None:
    """As torch's classes do: the first concept is class 0."""
    for first in (0, np.int64(0), np.array(0), torch.tensor(0)):
        assert labels_of(first) == (LabelChannel(0, 1),)
    assert labels_of(3) == (LabelChannel(1, 4),)
    assert labels_of(-1) == ()
    assert labels_of(None) == ()
    for wrong in (4, -2):
        with pytest.raises(DataError, match=f"is of class {wrong}; classes count from 0, expected 0 to 3"):
            labels_of(wrong)


def test_maps_of_every_form() -> None:
    values = label_map(STREET, STREET.objects)
    palette = Image.fromarray(values).convert("P")
    palette.putdata(values.ravel().tolist())
    forms = [
        values,
        values.astype(np.int32),
        torch.from_numpy(values).long(),
        Image.fromarray(values),
        palette,
    ]
    for form in forms:
        (channel,) = labels_of(form)
        np.testing.assert_array_equal(channel.labels, values)
    binary = STREET.objects[0].mask(STREET.size)
    assert labels_of(binary)[0].labels.sum() == binary.sum()
    half = labels_of(values[::2, ::2])[0]
    assert half.labels.shape == (16, 24)


def test_masks_of_torchvision() -> None:
    values = label_map(STREET, STREET.objects)
    mask = vision("tv_tensors").Mask
    for form in (mask(torch.from_numpy(values)), mask(torch.from_numpy(values)[None])):
        np.testing.assert_array_equal(labels_of(form)[0].labels, values)


def test_one_map_of_two_categories_is_two_channels() -> None:
    both = np.maximum(label_map(STREET, STREET.objects), label_map(STREET, STREET.parts))
    objects, parts = labels_of(both)
    assert (objects.category, parts.category) == (0, 1)
    np.testing.assert_array_equal(np.maximum(objects.labels, parts.labels), both)
    assert parts.labels.max() == 4 > objects.labels.max()


def test_values_without_label() -> None:
    values = label_map(STREET, STREET.objects)
    values[9] = 255
    assert np.unique(labels_of(values)[0].labels).tolist() == [0, 1, 2, 3]
    with pytest.raises(DataError, match="a label map of image 0 of Items holds the value 255"):
        labels_of(values, ignore=7)
    named = Concepts(np.array([1, 2, 3, 255]), ("a", "b", "c", "d"), np.zeros(4, np.int64), ("q",))
    assert Pairs(Items([(STREET.pixels, values)]), named).read_labels(0)[0].labels.max() == 255


def test_objects_that_overlap_stay() -> None:
    masks = torch.zeros(3, 32, 48, dtype=torch.uint8)
    masks[0, :9], masks[1, 5:20], masks[2, 2:4] = 1, 1, 1
    target = {"masks": masks, "labels": torch.tensor([1, 2, 0])}
    first, second = labels_of(target)
    assert (int((first.labels == 1).sum()), int((second.labels == 2).sum())) == (9 * 48, 15 * 48)
    assert labels_of({"masks": masks[:0], "labels": torch.zeros(0)}) == ()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("cat", "has labels of type str; expected None, a class number"),
        ([1, 2], "has labels of type list"),
        (1.0, "has labels of type float"),
        (np.zeros((32, 48), np.float32), r"is float32 \[32, 48\]; expected a label map"),
        (np.zeros((1, 1, 32, 48), np.uint8), r"has labels uint8 \[1, 1, 32, 48\]"),
        (np.zeros(5, np.uint8), r"has labels uint8 \[5\]"),
        (np.zeros((32, 40), np.uint8), "image 0 of Items is 32 x 48 and its labels 32 x 40"),
        (np.full((32, 48), 9), "holds the value 9, which names no label .*1 to 4"),
        (np.full((32, 48), -1), "holds the value -1"),
        (np.full((32, 48), 1 << 20), "holds the value 1048576"),
        (Image.new("RGB", (48, 32)), "PIL mask of mode RGB; .* Colours are no labels"),
        ({"boxes": np.zeros((1, 4)), "labels": np.ones(1, np.int64)}, "Boxes are no masks"),
        ({"masks": np.zeros((2, 32, 48), np.bool_), "labels": np.ones(1, np.int64)}, r"expected \[n, H, W\]"),
        ({"masks": np.ones((1, 32, 40), np.bool_), "labels": np.ones(1, np.int64)}, "of the image's size"),
        ({"masks": np.full((1, 32, 48), 2), "labels": np.ones(1, np.int64)}, "from 2 to 2; expected 0 and 1"),
        ({"masks": np.ones((1, 32, 48), np.float32), "labels": np.ones(1, np.int64)}, "expected 0 and 1"),
        ({"masks": np.ones((1, 32, 48), np.bool_), "labels": np.ones(1)}, "integers"),
        ({"masks": np.ones((1, 32, 48), np.bool_), "labels": np.array([9])}, "holds the value 9"),
        ({"masks": np.array(1), "labels": np.ones(1, np.int64)}, r"masks \[\] and labels"),
        ({"masks": np.ones((1, 0, 0), np.bool_), "labels": np.ones(1, np.int64)}, "of the image's size"),
        (np.ma.masked_array(np.ones((32, 48), np.uint8), mask=True), "labels with a mask of their own"),
        (torch.zeros(32, 48, device="meta"), "labels that cannot be read"),
        ({"thing": np.zeros((32, 48), np.uint8)}, "labels of 'thing'; expected the categories object, part"),
    ],
)
def test_labels_that_are_refused(labels: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        labels_of(labels)


def test_items_that_are_no_pairs() -> None:
    for item, message in (
        (STREET.pixels, "image 0 of Items is a ndarray; expected a pair"),
        ((STREET.pixels, None, 3), "is a tuple of ndarray, NoneType, int; expected a pair"),
    ):
        with pytest.raises(DataError, match=message):
            Pairs(Items([item]), CONCEPTS)
    with pytest.raises(DataError, match="expected at least one image"):
        Pairs(Items([]), CONCEPTS)
    with pytest.raises(DataError, match="expected a data set with a length"):
        Pairs(TorchDataset[Any](), CONCEPTS)


@pytest.mark.parametrize("what", ["image", "labels"])
def test_random_items_are_refused(what: str) -> None:
    class Random(Items):
        calls = 0

        def __getitem__(self, index: int) -> Any:
            self.calls += 1
            return (STREET.pixels ^ self.calls, 0) if what == "image" else (STREET.pixels, self.calls % 4)

    with pytest.raises(
        DataError, match=r"Pairs of Random: item 0 differs when it is read again.* random transforms"
    ):
        Pairs(Random([0]), CONCEPTS)


def test_an_item_is_read_once_for_its_image_and_labels() -> None:
    class Counted(Items):
        reads: list[int] = []  # noqa: RUF012

        def __getitem__(self, index: int) -> Any:
            self.reads.append(index)
            return super().__getitem__(index)

    data = Pairs(Counted(scene_items("channels")), CONCEPTS)
    Counted.reads.clear()
    for index in (1, 2, 1):
        data.content_stamp(index)
        data.read_image(index)
        data.read_labels(index)
    assert Counted.reads == [1, 2, 1]


def many(count: int) -> list[Any]:
    rng = np.random.default_rng(0)
    return [(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), i % 4) for i in range(count)]


def test_the_fingerprint_is_of_a_sample_and_the_stamp_of_each_item() -> None:
    whole = Pairs(Items(many(40)), CONCEPTS)
    assert Pairs(Items(many(40)), CONCEPTS).fingerprint() == whole.fingerprint()
    for index in (0, 39):
        items = many(40)
        items[index] = (items[index][0], 3 - items[index][1])
        assert Pairs(Items(items), CONCEPTS).fingerprint() != whole.fingerprint()
    assert Pairs(Items(many(39)), CONCEPTS).fingerprint() != whole.fingerprint()
    assert Pairs(Items(many(40)), CONCEPTS, ignore=9).fingerprint() != whole.fingerprint()
    assert Pairs(Subset(Items(many(40)), range(40)), CONCEPTS).fingerprint() != whole.fingerprint()
    items = many(40)
    items[7] = (items[7][0], 3 - items[7][1])
    other = Pairs(Items(items), CONCEPTS)
    same = [other.content_stamp(i) == whole.content_stamp(i) for i in range(40)]
    assert same == [i != 7 for i in range(40)]
    assert len({whole.content_stamp(i) for i in range(40)}) == 40
    assert 0 <= min(whole.content_stamp(i) for i in range(40)) < 1 << 64


def test_a_set_of_tensors() -> None:
    images = torch.from_numpy(np.stack([YARD.pixels, YARD.pixels[::-1].copy()])).permute(0, 3, 1, 2)
    maps = torch.from_numpy(np.stack([label_map(YARD, YARD.objects)] * 2)).long()
    data = Pairs(TensorDataset(images, maps), CONCEPTS)
    np.testing.assert_array_equal(data.read_image(1)[0], YARD.pixels[::-1])
    assert [channel.category for channel in data.read_labels(0)] == [0]


def test_torchvisions_folder_of_classes(tmp_path: Path) -> None:
    for scene, name in ((STREET, "road"), (YARD, "field")):
        scene.save(tmp_path / name / f"{scene.name}.png")
    found = vision("datasets").ImageFolder(str(tmp_path))
    assert found.classes == ["field", "road"]
    concepts = Concepts(np.array([1, 2]), tuple(found.classes), np.zeros(2, np.int64), ("scene",))
    data = Pairs(found, concepts)
    assert [data.read_labels(i) for i in range(2)] == [(LabelChannel(0, 1),), (LabelChannel(0, 2),)]
    np.testing.assert_array_equal(data.read_image(0)[0], YARD.pixels)
