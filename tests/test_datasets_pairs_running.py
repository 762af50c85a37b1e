"""Runs from end to end: the tiny scenes in every generic format, and from Python, give the same counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import written_classes
import written_labelme
import written_webdataset
from scene_cases import SCENES
from test_datasets_pairs import CONCEPTS, Items, scene_items
from torch.utils.data import DataLoader

import fastdissect as fd
from fastdissect.errors import DataError, OutputError, SettingError
from fastdissect.running import Run

SIZE = 64
LABELS = ("sky", "car", "cat", "wheel")


def run(data: Any, **options: Any) -> Any:
    # one image a batch: the order of images differs from format to format, a batch's arithmetic must not
    defaults = {
        "size": SIZE,
        "batch_size": 1,
        "quantile": 0.05,
        "workers": 0,
        "cache": None,
        "progress": False,
    }
    return fd.dissect("builtin:shapes", data, "conv2", **{**defaults, **options})["conv2"]


def by_label(layer: Any, names: tuple[str, ...]) -> dict[str, Any]:
    found = {name: (layer.intersection[:, i], layer.concept_area[i]) for i, name in enumerate(names)}
    return {name: found[name] for name in LABELS}


@pytest.fixture(scope="module")
def whole() -> Any:
    """The scenes as pairs of arrays."""
    return run(Items(scene_items("channels")), concepts=CONCEPTS)


def written_hf() -> Any:
    pytest.importorskip("datasets")
    import written_hf

    return written_hf


@pytest.mark.parametrize("written", [lambda: written_labelme, lambda: written_webdataset, written_hf])
def test_all_formats_count_alike(tmp_path: Path, whole: Any, written: Callable[[], Any]) -> None:
    from fastdissect.datasets import open_dataset

    spec = written().write(tmp_path)
    found = run(spec)
    np.testing.assert_array_equal(found.thresholds, whole.thresholds)
    expected = by_label(whole, CONCEPTS.names)
    for label, (intersection, area) in by_label(found, open_dataset(spec).concepts.names).items():
        np.testing.assert_array_equal(intersection, expected[label][0], err_msg=label)
        assert area == expected[label][1] > 0


def test_areas_by_hand(whole: Any) -> None:
    """Masks are 32 x 32 here: street's pixels count 32 * 32 / (32 * 48), yard's a quarter of four."""
    assert dict(zip(CONCEPTS.names, whole.concept_area.tolist(), strict=True))["sky"] == 8 * 32 + 16 * 32


def test_classes_cover_their_images(tmp_path: Path) -> None:
    found = run(written_classes.write(tmp_path))
    assert found.concept_area.tolist() == [2 * 32 * 32]


@pytest.mark.parametrize("form", ["tensor", "categories", "targets"])
def test_all_forms_from_python_count_alike(whole: Any, form: str) -> None:
    found = run(Items(scene_items(form)), concepts=CONCEPTS)
    for name in ("intersection", "concept_area", "unit_area", "thresholds"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))


def test_worker_processes_and_names(whole: Any) -> None:
    found = run(Items(scene_items("channels")), concepts=list(CONCEPTS.names), workers=2)
    np.testing.assert_array_equal(found.intersection, whole.intersection)
    assert run(Items(scene_items("channels")), concepts=CONCEPTS, images=1).shape[0] == 1


def test_what_open_source_takes_for_items() -> None:
    with pytest.raises(SettingError, match="expected concepts= with a DataLoader or a torch data set"):
        run(Items(scene_items("channels")))
    with pytest.raises(DataError, match="expected a pair"):
        run(Items([SCENES[0].pixels]), concepts=CONCEPTS)

    class Stream(torch.utils.data.IterableDataset[Any]):
        def __iter__(self) -> Any:
            return iter([])

    with pytest.raises(DataError, match="of known length"):
        run(Stream(), concepts=CONCEPTS, size=None)


def test_another_set_is_no_continuation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Any) -> None:
    one_batch, calls = Run._one_batch, 0

    def broken(self: Any, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise RuntimeError("broken off")
        return one_batch(self, *arguments)

    data = Items(scene_items("channels"))
    options = {"concepts": CONCEPTS, "out": tmp_path / "out", "checkpoint_seconds": 0}
    with monkeypatch.context() as patch:
        patch.setattr(Run, "_one_batch", broken)
        with pytest.raises(RuntimeError, match="broken off"):
            run(data, **options)
    with pytest.raises(OutputError, match="data set"):
        run(Items(data.items[::-1]), **options)
    found = run(data, **options)
    np.testing.assert_array_equal(found.intersection, whole.intersection)


def batches(form: str, collate: Any = None) -> Any:
    """A DataLoader of the street and its mirror image, ready for the network."""
    street = SCENES[0]
    image, labels = next(item for item in scene_items(form))
    pixels = torch.from_numpy(street.pixels).permute(2, 0, 1).float() / 255
    mirrored = pixels.flip(2)
    if form == "targets":
        turned: Any = {"masks": labels["masks"].flip(2), "labels": labels["labels"]}
        labels = {"masks": labels["masks"], "labels": labels["labels"]}
    else:
        turned = labels.flip(2)
    assert image is not None
    return DataLoader(Items([(pixels, labels), (mirrored, turned)]), batch_size=2, collate_fn=collate)


def as_lists(items: list[Any]) -> Any:
    return tuple(zip(*items, strict=True))


@pytest.mark.parametrize("collate", [None, as_lists])
def test_a_loader_of_targets_gives_what_one_of_maps_gives(collate: Any) -> None:
    options = {"concepts": CONCEPTS, "size": None, "batch_size": 32, "workers": None}
    maps = run(batches("tensor", collate), **options)
    targets = run(batches("targets", collate), **options)
    assert maps.concept_area.sum() > 0
    for name in ("intersection", "concept_area", "unit_area", "thresholds"):
        np.testing.assert_array_equal(getattr(targets, name), getattr(maps, name))


def test_a_loader_of_images_of_many_sizes_is_refused() -> None:
    items = [
        (torch.zeros(3, 8, 8), torch.zeros(8, 8).long()),
        (torch.zeros(3, 8, 9), torch.zeros(8, 9).long()),
    ]
    with pytest.raises(
        DataError, match=r"expected images of one size .* the data set itself in place of its DataLoader"
    ):
        run(DataLoader(Items(items), batch_size=2, collate_fn=as_lists), concepts=CONCEPTS, size=None)


def test_targets_of_a_loader_that_are_wrong() -> None:
    boxes = {"boxes": torch.zeros(1, 4), "labels": torch.ones(1).long()}
    with pytest.raises(DataError, match=r"image 0 has a target of boxes, labels; .* Boxes are no masks"):
        run([(torch.zeros(1, 3, 8, 8), [boxes])], concepts=CONCEPTS, size=None)
    small = {"masks": torch.ones(1, 4, 4).bool(), "labels": torch.ones(1).long()}
    with pytest.raises(DataError, match="of the image's size"):
        run([(torch.zeros(1, 3, 8, 8), [small])], concepts=CONCEPTS, size=None)
