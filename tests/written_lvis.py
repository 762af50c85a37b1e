"""The tiny scenes in LVIS's form: lvis_v1_val.json; train2017/yard.png and val2017/street.png, val2017/empty.png."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scene_cases import SCENES
from written_coco import box, outline, write_json

LABELS = {"car": "car_(automobile)", "cat": "cat", "wheel": "wheel"}

CATEGORIES: list[dict[str, Any]] = [
    {"id": 207, "name": "car_(automobile)", "synset": "car.n.01", "frequency": "f",
     "synonyms": ["car_(automobile)", "auto_(automobile)", "automobile"]},
    {"id": 225, "name": "cat", "synset": "cat.n.01", "frequency": "f", "synonyms": ["cat"]},
    {"id": 1164, "name": "wheel", "synset": "wheel.n.01", "frequency": "f", "synonyms": ["wheel"]},
    {"id": 1203, "name": "zucchini", "synset": "zucchini.n.02", "frequency": "c", "synonyms": ["zucchini", "courgette"]},
]  # fmt: skip
IDS = {"car": 207, "cat": 225, "wheel": 1164}
PLACES = {"street": "val2017", "yard": "train2017", "empty": "val2017"}


def write(folder: Path) -> str:
    images, annotations = [], []
    for number, scene in enumerate(SCENES, start=50):
        place = f"{PLACES[scene.name]}/{scene.name}.png"
        scene.save(folder / "coco" / place)
        images.append(
            {
                "id": number,
                "coco_url": f"http://images.cocodataset.org/{place}",
                "flickr_url": "http://farm4.staticflickr.com/3153/2970773875_164f0c0b83_z.jpg",
                "height": scene.size[0],
                "width": scene.size[1],
                "license": 1,
                "neg_category_ids": [1203, 225] if scene.name == "empty" else [1203],
                "not_exhaustive_category_ids": [207] if scene.name == "street" else [],
            }
        )
        for region in (*scene.objects, *scene.parts):
            if region.label in IDS:
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": number,
                        "category_id": IDS[region.label],
                        "segmentation": outline(region),
                        **box(region),
                    }
                )
    path = folder / "lvis" / "lvis_v1_val.json"
    write_json(path, {"images": images, "annotations": annotations, "categories": CATEGORIES})
    return f"lvis:{path}?images={folder / 'coco'}"
