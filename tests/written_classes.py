"""The tiny scenes as folders of images, a folder a class: a scene's class is its first object's label."""

from __future__ import annotations

from pathlib import Path

from scene_cases import SCENES

LABELS: dict[str, str] = {}  # the format holds no masks: labels of whole images alone

CLASSES = {scene.name: scene.objects[0].label if scene.objects else "" for scene in SCENES}


def write(folder: Path) -> str:
    for scene in SCENES:
        scene.save(folder / CLASSES[scene.name] / f"{scene.name}.png")
    return f"classes:{folder}"
