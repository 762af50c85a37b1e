"""The tiny scenes as PASCAL VOC's segmentation masks; and what the tests of the published layouts share."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image
from scene_cases import PIXELS, SCENES, Scene

from fastdissect.datasets.protocol import Dataset

LABELS = {"car": "car", "cat": "cat"}

CLASSES = {"car": 7, "cat": 8}
VOID = 255


def write(folder: Path) -> str:
    year = folder / "VOCdevkit" / "VOC2012"
    for scene in SCENES:
        scene.save(year / "JPEGImages" / f"{scene.name}.png")
        mask = object_map(scene, CLASSES)
        mask[-1, 24] = VOID  # where no object is
        save_palette(year / "SegmentationClass" / f"{scene.name}.png", mask)
    lists = {"train": SCENES[:1], "val": SCENES[1:], "trainval": SCENES}
    for split, scenes in lists.items():
        write_text(year / "ImageSets" / "Segmentation" / f"{split}.txt", [scene.name for scene in scenes])
    return f"voc:{folder}"


def write_text(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def object_map(scene: Scene, numbers: dict[str, int]) -> np.ndarray:
    """uint16 [height, width] of the objects that `numbers` knows."""
    out = np.zeros(scene.size, np.uint16)
    for region in scene.objects:
        out[region.mask(scene.size)] = numbers.get(region.label, 0)
    return out


def part_map(scene: Scene, numbers: dict[str, int]) -> np.ndarray:
    out = np.zeros(scene.size, np.uint16)
    for region in scene.parts:
        out[region.mask(scene.size)] = numbers[region.label]
    return out


def save_grey(path: Path, labels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels.astype(np.uint8)).save(path)


def save_palette(path: Path, labels: np.ndarray) -> None:
    image = Image.fromarray(labels.astype(np.uint8))
    image.putpalette([value for n in range(256) for value in (n * 37 % 256, n * 101 % 256, n)])
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def save_rgb(path: Path, red: np.ndarray, green: np.ndarray, blue: np.ndarray | int = 0) -> None:
    planes = np.broadcast_arrays(red, green, blue)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.stack(planes, -1).astype(np.uint8)).save(path)


def count(data: Dataset) -> dict[str, int]:
    """Pixels of each label over the whole set, counted by hand: name -> pixels, a pixel once an image; labels of whole
    images are left out."""
    names = dict(zip(data.concepts.numbers.tolist(), data.concepts.names, strict=True))
    found: Counter[str] = Counter()
    for index in range(len(data)):
        maps = [np.asarray(c.labels) for c in data.read_labels(index) if not isinstance(c.labels, int)]
        for number, name in names.items():
            found[name] += int(np.any([each == number for each in maps], axis=0).sum()) if maps else 0
    return {name: pixels for name, pixels in found.items() if pixels}


def expected(labels: dict[str, str]) -> dict[str, int]:
    return {name: PIXELS[label] for label, name in labels.items()}


def whole(data: Dataset, index: int) -> list[str]:
    """The labels of an image as a whole."""
    names = dict(zip(data.concepts.numbers.tolist(), data.concepts.names, strict=True))
    return [names[c.labels] for c in data.read_labels(index) if isinstance(c.labels, int)]
