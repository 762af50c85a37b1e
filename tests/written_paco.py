"""The tiny scenes in PACO's form: paco_lvis_v1_val.json; val2017/street.png, val2017/yard.png, val2017/empty.png."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scene_cases import SCENES
from written_coco import box, run_lengths, write_json

LABELS = {"car": "car_(automobile)", "cat": "cat", "wheel": "car_(automobile):wheel"}

CATEGORIES: list[dict[str, Any]] = [
    {
        "supercategory": "OBJECT",
        "id": 207,
        "name": "car_(automobile)",
        "synset": "car.n.01",
        "frequency": "f",
    },
    {"supercategory": "OBJECT", "id": 225, "name": "cat", "synset": "cat.n.01", "frequency": "f"},
    {"supercategory": "PART", "id": 1400, "name": "car_(automobile):wheel"},
]
IDS = {"car": 207, "cat": 225, "wheel": 1400}

BLACK, RED, STRIPED, METAL, OPAQUE = range(5)
ATTRIBUTES = ["black", "red", "striped", "metal", "opaque"]
TYPES = {"color": [BLACK, RED], "pattern_marking": [STRIPED], "material": [METAL], "transparency": [OPAQUE]}
# The car is red and has a black wheel, so that it has both colours; the cat of the street is black.
DESCRIBED = {
    ("street", "car"): [BLACK, RED, METAL],
    ("street", "wheel"): [BLACK, STRIPED, OPAQUE],
    ("street", "cat"): [BLACK],
}


def write(folder: Path) -> str:
    images, annotations = [], []
    for number, scene in enumerate(SCENES, start=70):
        scene.save(folder / "coco" / "val2017" / f"{scene.name}.png")
        images.append(
            {
                "id": number,
                "file_name": f"val2017/{scene.name}.png",
                "height": scene.size[0],
                "width": scene.size[1],
                "neg_category_ids": [],
                "not_exhaustive_category_ids": [],
            }
        )
        whole = 0
        for region in (*scene.objects, *scene.parts):
            if region.label not in IDS:
                continue
            id = len(annotations) + 1
            whole = id if region.label == "car" else whole
            annotations.append(
                {
                    "id": id,
                    "image_id": number,
                    "category_id": IDS[region.label],
                    "segmentation": run_lengths(region, scene.size, as_text=True),
                    "attribute_ids": DESCRIBED.get((scene.name, region.label), []),
                    "dom_color_ids": [],
                    "obj_ann_id": whole if region.label == "wheel" else id,
                    "unknown_color": 0,
                    "unknown_pattern_marking": 1,
                    "unknown_material": 1,
                    "unknown_transparency": 1,
                    **box(region),
                }
            )
    path = folder / "paco" / "paco_lvis_v1_val.json"
    write_json(
        path,
        {
            "images": images,
            "annotations": annotations,
            "categories": CATEGORIES,
            "part_categories": [{"supercategory": "PART", "id": 1, "name": "wheel"}],
            "attributes": [
                {"supercategory": "ATTR", "id": id, "name": name} for id, name in enumerate(ATTRIBUTES)
            ],
            "attr_type_to_attr_idxs": TYPES,
        },
    )
    return f"paco:{path}?images={folder / 'coco'}"
