"""The same three scenes in every format: equal counts, unit by unit, wherever a format can hold the label."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
from scene_cases import PIXELS, SCENES

import fastdissect as fd
from fastdissect.datasets import Dataset, check_dataset, open_dataset
from fastdissect.types import Concepts, LabelChannel

FORMATS = sorted(path.stem.removeprefix("written_") for path in Path(__file__).parent.glob("written_*.py"))
NUMBERS = {"sky": 1, "car": 2, "cat": 3, "wheel": 4}


class Drawn(Dataset):
    """The scenes themselves, painted in memory: what every format must come to."""

    name = "drawn"
    concepts = Concepts(np.arange(1, 5), tuple(NUMBERS), np.array([0, 0, 0, 1]), ("object", "part"))

    def __len__(self) -> int:
        return len(SCENES)

    def image_name(self, index: int) -> str:
        return SCENES[index].name

    def read_image(self, index: int):
        return SCENES[index].pixels, f"{index:032x}"

    def read_labels(self, index: int):
        scene = SCENES[index]
        channels = []
        for category, regions in enumerate((scene.objects, scene.parts)):
            for region in regions:
                channels.append(
                    LabelChannel(category, region.mask(scene.size).astype(np.uint16) * NUMBERS[region.label])
                )
        return tuple(channels)

    def files(self, index: int):
        return ()

    def fingerprint(self) -> str:
        return "drawn"


def dissected(data: str | Dataset) -> fd.LayerDissection:
    """A batch an image: what the network gives must not depend on the order of the images."""
    options = {"size": 64, "batch_size": 1, "workers": 0, "device": "cpu", "cache": None, "progress": False}
    return fd.dissect("builtin:shapes", data, "conv2", quantile="0.05", **options)["conv2"]


@pytest.fixture(scope="module")
def expected() -> fd.LayerDissection:
    found = dissected(Drawn())
    assert found.intersection.sum() > 1000
    return found


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_gives_the_counts_of_the_scenes_themselves(
    name: str, expected: fd.LayerDissection, tmp_path: Path
) -> None:
    written = importlib.import_module(f"written_{name}")
    spec = written.write(tmp_path)
    dataset = open_dataset(spec)
    assert len(dataset) == len(SCENES)
    assert check_dataset(dataset).ok
    lossless = all(dataset.image_name(index).endswith(".png") for index in range(len(dataset)))
    found = dissected(spec)
    for label, own in written.LABELS.items():
        column, there = list(found.concepts.names).index(own), NUMBERS[label] - 1
        assert found.concept_area[column] == expected.concept_area[there], label
        if lossless:
            np.testing.assert_array_equal(
                found.intersection[:, column], expected.intersection[:, there], err_msg=label
            )
    if lossless:
        np.testing.assert_array_equal(found.thresholds, expected.thresholds)


def test_pixels_of_the_scenes_are_as_worked_out_by_hand() -> None:
    found = dict.fromkeys(PIXELS, 0)
    for scene in SCENES:
        for region in (*scene.objects, *scene.parts):
            found[region.label] += int(region.mask(scene.size).sum())
    assert found == PIXELS == {"sky": 896, "car": 256, "cat": 512, "wheel": 64}
