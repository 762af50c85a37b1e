"""Synthetic scenes of 480 x 640 with eight overlapping regions each, written in the layouts of several data sets.

Formats that paint regions into one map hold what lies on top (`painted`); formats that list regions hold all of each.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from fastdissect.datasets import Dataset, write_broden
from fastdissect.datasets.vocabulary import make_concepts
from fastdissect.datasets.writing_folder import write_folder
from fastdissect.types import LabelChannel

HEIGHT, WIDTH, REGIONS, LABELS = 480, 640, 8, 20


class Scene:
    """One image: a smooth background with noise, and its regions [(label, outline [points, 2] as x, y)]."""

    def __init__(self, number: int) -> None:
        self.name = f"scene_{number:05d}"
        rng = np.random.default_rng(number)
        y, x = np.mgrid[:HEIGHT, :WIDTH]
        waves = [128 + 90 * np.sin(x / a + y / b) for a, b in rng.uniform(20, 120, (3, 2))]
        pixels = np.stack(waves, -1) + rng.normal(0, 12, (HEIGHT, WIDTH, 3))
        self.regions = []
        for label in rng.choice(np.arange(1, LABELS + 1), REGIONS, replace=False).tolist():
            angles = np.sort(rng.uniform(0, 2 * np.pi, 24))
            radii = rng.uniform(0.6, 1, 24) * rng.uniform(40, 160)
            points = np.stack([np.cos(angles), np.sin(angles)], 1) * radii[:, None]
            points += rng.uniform((0, 0), (WIDTH, HEIGHT))
            self.regions.append((label, np.clip(points, 0, (WIDTH - 1, HEIGHT - 1)).round(1)))
        for label, mask in self.masks:
            pixels[mask] = 0.5 * pixels[mask] + 0.5 * np.array((label * 12, 255 - label * 9, label * 5))
        self.pixels = np.clip(pixels, 0, 255).astype(np.uint8)

    @cached_property
    def masks(self) -> list[tuple[int, np.ndarray]]:
        """[(label, bool [height, width])], those without a pixel left out."""
        found = []
        for label, points in self.regions:
            mask = Image.new("1", (WIDTH, HEIGHT))
            ImageDraw.Draw(mask).polygon([tuple(p) for p in points.tolist()], fill=1)
            if np.asarray(mask).any():
                found.append((label, np.asarray(mask)))
        return found

    @cached_property
    def painted(self) -> np.ndarray:
        """uint8 [height, width]: later regions over earlier ones."""
        labels = np.zeros((HEIGHT, WIDTH), np.uint8)
        for label, mask in self.masks:
            labels[mask] = label
        return labels

    @cached_property
    def jpeg(self) -> bytes:
        file = io.BytesIO()
        Image.fromarray(self.pixels).save(file, format="JPEG", quality=90)
        return file.getvalue()


def write_bytes(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def write_json(path: Path, content: object) -> None:
    write_bytes(path, json.dumps(content).encode())


def png(labels: np.ndarray, *, palette: bool = False) -> bytes:
    image, file = Image.fromarray(labels), io.BytesIO()
    if palette:
        image.putpalette([value for n in range(256) for value in (n, n * 7 % 256, n * 13 % 256)])
    image.save(file, format="PNG")
    return file.getvalue()


def runs_text(mask: np.ndarray) -> str:
    """COCO's text of run lengths, columns first."""
    flat = mask.T.ravel()
    ends = np.flatnonzero(np.diff(flat.astype(np.int8)))
    edges = np.concatenate([[0], ends + 1, [flat.size]])
    runs = ([0] if flat[0] else []) + np.diff(edges).tolist()
    out = []
    for i, run in enumerate(runs):
        value = run - runs[i - 2] if i > 2 else run
        while True:
            group, value = value & 31, value >> 5
            more = value != (-1 if group & 16 else 0)
            out.append(chr(48 + group + 32 * more))
            if not more:
                break
    return "".join(out)


def bounds(mask: np.ndarray) -> dict[str, Any]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    left, top = int(columns[0]), int(rows[0])
    return {
        "bbox": [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1],
        "area": int(mask.sum()),
    }


class _InMemory(Dataset):
    """What our own writers are given; the JPEG's bytes lie in a file, which they copy."""

    def __init__(self, scenes: list[Scene], folder: Path) -> None:
        self.name, self.scenes, self.folder = "scenes", scenes, folder
        self.concepts = make_concepts({n: (f"label {n}", 0) for n in range(1, LABELS + 1)}, ("object",))
        for scene in scenes:
            write_bytes(folder / f"{scene.name}.jpg", scene.jpeg)

    def __len__(self) -> int:
        return len(self.scenes)

    def image_name(self, index: int) -> str:
        return f"{self.scenes[index].name}.jpg"

    def read_image(self, index: int):
        raise NotImplementedError

    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        return (LabelChannel(0, self.scenes[index].painted),)

    def files(self, index: int) -> tuple[Path, ...]:
        return (self.folder / self.image_name(index),)

    def fingerprint(self) -> str:
        return "scenes"


def folder(scenes: list[Scene], home: Path) -> str:
    return f"folder:{write_folder(_InMemory(scenes, home / 'source'), home / 'set')}"


def broden(scenes: list[Scene], home: Path) -> str:
    return f"broden:{write_broden(_InMemory(scenes, home / 'source'), home / 'set', mask_scale=1)}"


def _coco(scenes: list[Scene], home: Path, segmentation: Callable[[np.ndarray, np.ndarray], Any]) -> str:
    annotations = []
    for number, scene in enumerate(scenes, 1):
        write_bytes(home / "val2017" / f"{scene.name}.jpg", scene.jpeg)
        outlines = dict(scene.regions)
        annotations += [
            {
                "id": number * 100 + label,
                "image_id": number,
                "category_id": label,
                "iscrowd": 0,
                "segmentation": segmentation(outlines[label], mask),
                **bounds(mask),
            }
            for label, mask in scene.masks
        ]
    path = home / "annotations" / "instances_val2017.json"
    write_json(path, {**_head(scenes), "annotations": annotations})
    return f"coco:{path}"


def _head(scenes: list[Scene]) -> dict[str, Any]:
    images = [
        {"id": n, "file_name": f"{scene.name}.jpg", "height": HEIGHT, "width": WIDTH}
        for n, scene in enumerate(scenes, 1)
    ]
    names = [
        {"id": n, "name": f"label {n}", "supercategory": "all", "isthing": 1} for n in range(1, LABELS + 1)
    ]
    return {"images": images, "categories": names}


def coco_polygons(scenes: list[Scene], home: Path) -> str:
    return _coco(scenes, home, lambda outline, _mask: [outline.ravel().tolist()])


def coco_run_lengths(scenes: list[Scene], home: Path) -> str:
    return _coco(scenes, home, lambda _outline, mask: {"size": [HEIGHT, WIDTH], "counts": runs_text(mask)})


def coco_panoptic(scenes: list[Scene], home: Path) -> str:
    annotations = []
    for number, scene in enumerate(scenes, 1):
        write_bytes(home / "val2017" / f"{scene.name}.jpg", scene.jpeg)
        ids = scene.painted.astype(np.int64) * 1009
        coded = np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1).astype(np.uint8)
        write_bytes(home / "annotations" / "panoptic_val2017" / f"{scene.name}.png", png(coded))
        segments = [
            {"id": label * 1009, "category_id": label, "iscrowd": 0, **bounds(scene.painted == label)}
            for label in np.unique(scene.painted[scene.painted > 0]).tolist()
        ]
        annotations.append({"image_id": number, "file_name": f"{scene.name}.png", "segments_info": segments})
    path = home / "annotations" / "panoptic_val2017.json"
    write_json(path, {**_head(scenes), "annotations": annotations})
    return f"coco-panoptic:{path}"


def ade20k_150(scenes: list[Scene], home: Path) -> str:
    base = home / "ADEChallengeData2016"
    rows = ["Idx\tRatio\tTrain\tVal\tName", *(f"{n}\t0\t0\t0\tlabel {n}" for n in range(1, 151))]
    write_bytes(base / "objectInfo150.txt", "\n".join(rows).encode() + b"\n")
    write_bytes(base / "sceneCategories.txt", "".join(f"{scene.name} street\n" for scene in scenes).encode())
    for scene in scenes:
        write_bytes(base / "images" / "training" / f"{scene.name}.jpg", scene.jpeg)
        write_bytes(base / "annotations" / "training" / f"{scene.name}.png", png(scene.painted))
    return f"ade20k-150:{home}"


def voc(scenes: list[Scene], home: Path) -> str:
    year = home / "VOCdevkit" / "VOC2012"
    for scene in scenes:
        write_bytes(year / "JPEGImages" / f"{scene.name}.jpg", scene.jpeg)
        write_bytes(year / "SegmentationClass" / f"{scene.name}.png", png(scene.painted, palette=True))
    names = "".join(f"{scene.name}\n" for scene in scenes).encode()
    for split in ("train", "val", "trainval"):
        write_bytes(year / "ImageSets" / "Segmentation" / f"{split}.txt", names)
    return f"voc:{home}"


def labelme(scenes: list[Scene], home: Path) -> str:
    for scene in scenes:
        write_bytes(home / f"{scene.name}.jpg", scene.jpeg)
        shapes = [
            {
                "label": f"label {label}",
                "points": points.tolist(),
                "group_id": None,
                "shape_type": "polygon",
                "flags": {},
            }
            for label, points in scene.regions
        ]
        head = {"version": "5.4.1", "flags": {}, "imagePath": f"{scene.name}.jpg", "imageData": None}
        write_json(
            home / f"{scene.name}.json",
            {**head, "shapes": shapes, "imageHeight": HEIGHT, "imageWidth": WIDTH},
        )
    return f"labelme:{home}"


def sa1b(scenes: list[Scene], home: Path) -> str:
    lines = ["image,id,label"]
    for number, scene in enumerate(scenes):
        write_bytes(home / "sa_000000" / f"{scene.name}.jpg", scene.jpeg)
        annotations = []
        for label, mask in scene.masks:
            lines.append(f"{scene.name}.jpg,{number * 100 + label},label {label}")
            coded = {"size": [HEIGHT, WIDTH], "counts": runs_text(mask)}
            annotations.append({"id": number * 100 + label, "segmentation": coded, **bounds(mask)})
        image = {"image_id": number, "width": WIDTH, "height": HEIGHT, "file_name": f"{scene.name}.jpg"}
        write_json(home / "sa_000000" / f"{scene.name}.json", {"image": image, "annotations": annotations})
    write_bytes(home / "labels.csv", "\n".join(lines).encode() + b"\n")
    return f"sa1b:{home / 'sa_000000'}?labels={home / 'labels.csv'}"


def webdataset(scenes: list[Scene], home: Path) -> str:
    table = "number,name,category\n" + "".join(f"{n},label {n},object\n" for n in range(1, LABELS + 1))
    home.mkdir(parents=True)
    with tarfile.open(home / "data-000000.tar", "w") as tar:

        def add(name: str, data: bytes) -> None:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))

        add("labels.csv", table.encode())
        for scene in scenes:
            add(f"{scene.name}.jpg", scene.jpeg)
            add(f"{scene.name}.mask.png", png(scene.painted))
    return f"webdataset:{home / 'data-000000.tar'}"


PAINTED = {
    "folder": folder,
    "broden": broden,
    "voc": voc,
    "ade20k-150": ade20k_150,
    "coco-panoptic": coco_panoptic,
    "webdataset": webdataset,
}
LISTED = {
    "coco, run lengths": coco_run_lengths,
    "sa1b": sa1b,
    "coco, polygons": coco_polygons,
    "labelme": labelme,
}
