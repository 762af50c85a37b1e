"""The tiny scenes as labelme writes them: a JSON file an image, with shapes of three kinds."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scene_cases import SCENES, Region, Scene

LABELS = {label: label for label in ("sky", "car", "cat", "wheel")}


def png(pixels: Any) -> str:
    """A picture as labelme keeps it in its files."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()


def shape(region: Region) -> dict[str, Any]:
    """Corners are the centres of pixels, both inclusive."""
    top, end, left, right = region.box
    x0, y0, x1, y1 = float(left), float(top), right - 1.0, end - 1.0
    common = {"label": region.label, "group_id": None, "description": "", "flags": {}}
    if region.label == "car":
        points = [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]
        return {**common, "points": points, "shape_type": "polygon", "mask": None}
    points = [[x0, y0], [x1, y1]]
    if region.label == "wheel":
        picture = png(np.ones((end - top, right - left), np.bool_))
        return {**common, "points": points, "shape_type": "mask", "mask": picture}
    return {**common, "points": points[::-1], "shape_type": "rectangle", "mask": None}


def annotation(scene: Scene, **changes: Any) -> dict[str, Any]:
    return {
        "version": "5.4.1",
        "flags": {},
        "shapes": [shape(region) for region in (*scene.objects, *scene.parts)],
        "imagePath": f"{scene.name}.png",
        "imageData": None,
        "imageHeight": scene.size[0],
        "imageWidth": scene.size[1],
    } | changes


def write(folder: Path) -> str:
    for scene in SCENES:
        scene.save(folder / f"{scene.name}.png")
        if scene.objects:
            (folder / f"{scene.name}.json").write_text(json.dumps(annotation(scene)))
    return f"labelme:{folder}"
