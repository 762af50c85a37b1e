"""The tiny scenes in SA-1B's form, a .json of masks beside each image, and a table that labels the masks."""

from __future__ import annotations

from pathlib import Path

from scene_cases import SCENES
from written_coco import box, run_lengths, write_json

LABELS = {"sky": "sky", "car": "car", "cat": "cat", "wheel": "wheel"}


def write(folder: Path) -> str:
    home = folder / "sa_000020"
    lines = ["image,id,label"]
    for number, scene in enumerate(SCENES):
        name = f"sa_{number}_{scene.name}"
        scene.save(home / f"{name}.png")
        annotations = []
        for region in (*scene.objects, *scene.parts):
            id = 500_000_000 + 10 * number + len(annotations)
            lines.append(f"{name}.png,{id},{region.label}")
            annotations.append(
                {
                    "segmentation": run_lengths(region, scene.size, as_text=True),
                    "predicted_iou": 0.97,
                    "stability_score": 0.98,
                    "crop_box": [0, 0, scene.size[1], scene.size[0]],
                    "point_coords": [[region.box[2], region.box[0]]],
                    "id": id,
                    **box(region),
                }
            )
        image = {
            "image_id": number,
            "width": scene.size[1],
            "height": scene.size[0],
            "file_name": f"{name}.png",
        }
        if annotations:
            write_json(home / f"{name}.json", {"image": image, "annotations": annotations})
    (folder / "sa_labels.csv").write_text("\n".join(lines) + "\n")
    return f"sa1b:{home}?labels={folder / 'sa_labels.csv'}"
