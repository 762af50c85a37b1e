"""The tiny scenes as OpenSurfaces: the sky is a material, car and cat are objects; masks have half the size."""

from __future__ import annotations

from pathlib import Path

from scene_cases import SCENES
from written_voc import object_map, save_rgb, write_text

LABELS = {"sky": "Sky", "car": "Car", "cat": "Cat"}

IDS = {"street": 11, "yard": 7, "empty": 900}
IMAGES = {scene: f"{number}.jpg" for scene, number in IDS.items()}  # how their names end
PLACES = {"street": "Street - outdoor", "yard": "Yard", "empty": "~not labeled"}


def write(folder: Path, shrink: int = 1) -> str:
    """Images are named by numbers, in the order of photos.csv; `shrink` makes masks smaller than their photographs."""
    write_text(
        folder / "label-substance-colors.csv",
        ["substance_id,substance_name,red_color", "17,Carpet/rug,3", "4,Sky,32"],
    )
    write_text(folder / "label-name-colors.csv", ["name_id,name_name,green_color", "9,Car,1", "2,Cat,254"])
    write_text(
        folder / "label-scene-colors.csv",
        ["scene_category_id,scene_category_name,blue_color", "5,Street - outdoor,1", "6,Yard,2"],
    )
    lines = ["photo_id,scene_category_name,scene_category_score,flickr_url"]
    for scene in SCENES:
        scene.save(folder / "photos" / f"{IDS[scene.name]}.jpg")
        red, green = object_map(scene, {"sky": 32}), object_map(scene, {"car": 1, "cat": 254})
        blue = {"Street - outdoor": 1, "Yard": 2}.get(PLACES[scene.name], 0)
        mask = folder / "photos-labels" / f"{IDS[scene.name]}.png"
        save_rgb(mask, red[::shrink, ::shrink], green[::shrink, ::shrink], blue)
        lines.append(f'{IDS[scene.name]},{PLACES[scene.name]},1.5,"http://flickr,com"')
    write_text(folder / "photos.csv", lines)
    return f"opensurfaces:{folder}"
