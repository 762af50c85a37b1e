"""The tiny scenes as the full ADE20K, in both releases; class numbers above 255 use the red channel."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import scipy.io
from scene_cases import SCENES, Scene
from written_voc import object_map, part_map, save_rgb

LABELS = {"sky": "sky", "car": "car", "cat": "cat", "wheel": "wheel"}

NAMES = {
    401: "car, auto, automobile, machine, motorcar",
    255: "cat",
    420: "sky",
    513: "wheel",
    1: "-",
    2: "door",
    3: "bag",
    4: "bag, handbag",
}
NUMBERS = {"car": 401, "cat": 255, "sky": 420, "wheel": 513}
CAR_CHAIN = ["car, auto, automobile, machine, motorcar", "motor vehicle, automotive vehicle", "vehicle"]
FOLDERS_2016 = {
    "street": "training/s/street",
    "yard": "validation/c/casino/outdoor",
    "empty": "training/outliers/acropolis",
}
FOLDERS_2021 = {
    "street": "training/urban/street",
    "yard": "validation/cultural/casino__outdoor",
    "empty": "training/misc",
}


def write(folder: Path) -> str:
    """The release of 2021."""
    home = folder / "ADE20K_2021_17_01" / "images" / "ADE"
    for scene in SCENES:
        place = home / FOLDERS_2021[scene.name]
        _save(scene, place)
        (place / f"{scene.name}.json").write_text(json.dumps({"annotation": _annotation(scene)}))
        save_rgb(
            place / scene.name / f"instance_000_{scene.name}.png", np.zeros(scene.size), np.zeros(scene.size)
        )
    return f"ade20k:{folder}"


def write_2016(folder: Path) -> str:
    home = folder / "ADE20K_2016_07_26"
    for scene in SCENES:
        place = home / "images" / FOLDERS_2016[scene.name]
        _save(scene, place)
        (place / f"{scene.name}_atr.txt").write_text('001 # 0 # 0 # car # car # ""\n')
    save_index(home / "index_ade20k.mat", [NAMES.get(n, f"class {n}") for n in range(1, 601)])
    return f"ade20k:{home}"


def save_index(path: Path, names: list[str]) -> None:
    chains = np.empty((1, len(names)), object)
    listed = np.empty((1, len(names)), object)
    for i, name in enumerate(names):
        listed[0, i] = name
        chains[0, i] = np.zeros((0, 0))
        if name.startswith("car,"):
            chains[0, i] = np.array(CAR_CHAIN, object)[None]
    shares = np.array(
        [[1.0 if name == "wheel" else 0.5 if name == "door" else 0.0 for name in names]], np.float32
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    index = {
        "objectnames": listed,
        "proportionClassIsPart": shares,
        "wordnet_hypernym": chains,
        "filename": "x.jpg",
    }
    scipy.io.savemat(path, {"index": index}, long_field_names=True, do_compression=True)


def _save(scene: Scene, place: Path) -> None:
    scene.save(place / f"{scene.name}.png")
    save_classes(place / f"{scene.name}_seg.png", object_map(scene, NUMBERS))
    if scene.parts:
        save_classes(place / f"{scene.name}_parts_1.png", part_map(scene, NUMBERS))


def save_classes(path: Path, classes: np.ndarray) -> None:
    """R = 10 * (class // 256), G = class % 256, B = instance."""
    instances = np.arange(classes.size).reshape(classes.shape) % 256
    save_rgb(path, classes // 256 * 10, classes % 256, instances)


def _annotation(scene: Scene) -> dict:
    objects = [
        {
            "id": number,
            "name": NAMES[NUMBERS[region.label]],
            "name_ndx": NUMBERS[region.label],
            "hypernym": CAR_CHAIN if region.label == "car" else [],
            "raw_name": region.label,
            "attributes": [],
            "occluded": "no",
            "crop": "0",
            "parts": {"hasparts": [], "ispartof": [], "part_level": 0},
        }
        for number, region in enumerate(scene.objects)
    ]
    cars = [each["id"] for each in objects if each["raw_name"] == "car"]
    for number, region in enumerate(scene.parts, len(objects)):
        part = {"hasparts": [], "ispartof": cars[0], "part_level": 1}
        label = NUMBERS[region.label]
        objects.append({"id": number, "name": NAMES[label], "name_ndx": label, "hypernym": [], "parts": part})
    return {
        "filename": f"{scene.name}.jpg",
        "imsize": [*scene.size, 3],
        "scene": ["outdoor"],
        "object": objects,
    }
