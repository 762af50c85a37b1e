"""The tiny scenes as DTD: words for whole images, none for the empty one."""

from __future__ import annotations

from pathlib import Path

from scene_cases import SCENES
from written_voc import write_text

LABELS: dict[str, str] = {}  # the format holds no masks: labels of whole images alone

WORDS = {"street": "banded striped", "yard": "grid banded", "empty": ""}


def write(folder: Path) -> str:
    home = folder / "dtd"
    lines = []
    for scene in SCENES:
        image = f"{(WORDS[scene.name] or 'banded').split()[0]}/{scene.name}.png"
        scene.save(home / "images" / image)
        lines.append(f"{image} {WORDS[scene.name]} ")
    write_text(home / "labels" / "labels_joint_anno.txt", lines)
    write_text(home / "labels" / "val1.txt", [lines[1].split()[0], lines[0].split()[0]])
    return f"dtd:{folder}"
