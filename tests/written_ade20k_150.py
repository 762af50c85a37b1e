"""The tiny scenes as the scene parsing benchmark of ADE20K (150 classes)."""

from __future__ import annotations

from pathlib import Path

from scene_cases import SCENES
from written_voc import object_map, save_grey, write_text

LABELS = {"sky": "sky", "car": "car"}

NUMBERS = {"sky": 3, "car": 21}
SPLITS = {"street": "training", "yard": "training", "empty": "validation"}
PLACES = {"street": "street", "yard": "yard", "empty": "misc"}


def write(folder: Path) -> str:
    home = folder / "ADEChallengeData2016"
    names = {n: f"class {n}" for n in range(1, 151)}
    names |= {3: "sky", 8: "bed ", 21: "car, auto, automobile, machine, motorcar"}
    rows = [f"{n}\t0.0450\t6604\t643\t{name}" for n, name in names.items()]
    write_text(home / "objectInfo150.txt", ["Idx\tRatio\tTrain\tVal\tName", *rows])
    write_text(home / "sceneCategories.txt", [f"{name} {place}" for name, place in PLACES.items()])
    for scene in SCENES:
        scene.save(home / "images" / SPLITS[scene.name] / f"{scene.name}.png")
        save_grey(home / "annotations" / SPLITS[scene.name] / f"{scene.name}.png", object_map(scene, NUMBERS))
    return f"ade20k-150:{folder}"
