"""The tiny scenes as Cityscapes: the street of one split, the others of the next."""

from __future__ import annotations

from pathlib import Path

from scene_cases import SCENES
from written_voc import object_map, save_grey

LABELS = {"sky": "sky", "car": "car"}

NUMBERS = {"sky": 23, "car": 26}
CITIES = {"street": ("train", "aachen"), "yard": ("val", "lindau"), "empty": ("val", "munster")}

IMAGES = {
    scene: f"{city}_000000_000019_leftImg8bit.png" for scene, (_, city) in CITIES.items()
}  # how their names end


def write(folder: Path, annotations: str = "gtFine") -> str:
    """The names of the images end as Cityscapes' own must."""
    for scene in SCENES:
        split, city = CITIES[scene.name]
        stem = f"{split}/{city}/{city}_000000_000019"
        scene.save(folder / "leftImg8bit" / f"{stem}_leftImg8bit.png")
        labels = object_map(scene, NUMBERS)
        labels[-1] = 1  # ego vehicle
        labels[-2] = 4  # static
        if scene.name == "street":
            labels[16:32, 8:24] = NUMBERS["car"]
        save_grey(folder / annotations / f"{stem}_{annotations}_labelIds.png", labels)
    return f"cityscapes:{folder}"
