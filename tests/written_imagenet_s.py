"""The tiny scenes as ImageNet-S with fifty classes, two of them with readable names car and cat."""

from __future__ import annotations

from pathlib import Path

from scene_cases import SCENES
from written_voc import object_map, save_rgb, write_text

LABELS = {"car": "car", "cat": "cat"}

WNIDS = [f"n{10_000_000 + 37 * n}" for n in range(50)]
NUMBERS = {"cat": 4, "car": 50}  # ranks from 1
FOLDERS = {"street": WNIDS[49], "yard": WNIDS[3], "empty": WNIDS[0]}
IGNORED = 1000


def write(folder: Path, split: str = "validation") -> str:
    home = folder / "ImageNetS50"
    for kind in (split, f"{split}-segmentation"):
        for wnid in WNIDS:
            (home / kind / wnid).mkdir(parents=True, exist_ok=True)
    for scene in SCENES:
        scene.save(home / split / FOLDERS[scene.name] / f"{scene.name}.png")
        labels = object_map(scene, NUMBERS)
        labels[-1, 24] = IGNORED
        save_rgb(
            home / f"{split}-segmentation" / FOLDERS[scene.name] / f"{scene.name}.png",
            labels % 256,
            labels // 256,
        )
    readable = {WNIDS[NUMBERS[name] - 1]: name for name in NUMBERS} | {WNIDS[1]: "crane", WNIDS[2]: "crane"}
    write_text(
        folder / "names.csv",
        ["wnid,name", *(f"{wnid},{readable.get(wnid, f'class {wnid}')}" for wnid in WNIDS)],
    )
    options = [f"names={folder / 'names.csv'}"] + ([f"split={split}"] if split != "validation" else [])
    return f"imagenet-s:{home}?{','.join(options)}"
