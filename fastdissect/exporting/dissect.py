"""davidbau/dissect: a folder a layer with report.json, units from 0, in rising order.

report.json        {"header": {"name", "image"}, "units": [{"image", "unit", "iou", "label", "cat"}]}
concepts_99.svg    the bar graph that the header names
image/unit<k>.jpg  the unit's top images in a row, dimmed outside its mask; only with a data set
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from fastdissect.errors import SettingError
from fastdissect.exporting.jobs import Job
from fastdissect.exporting.pictures import top_images
from fastdissect.files import write_bytes
from fastdissect.layer import LayerDissection
from fastdissect.reports.facts import layer_facts, network_name
from fastdissect.reports.pages import detector_svg
from fastdissect.reports.pictures import masked_tile

__all__ = ["write"]

_GAP = 5  # white pixels between two images
_LARGEST = 65_500  # what a JPEG can be


def write(job: Job) -> list[Path]:
    """Write every layer's folder."""
    written = []
    network = network_name(job.dissection.run)
    folders = [job.place(layer) for layer in job.layers]
    for layer, folder in zip(job.layers, folders, strict=True):
        name = " ".join((network, str(job.dissection.run.get("data", "")), layer.name)).strip()
        svg = detector_svg(layer_facts(0, layer), layer.concepts.categories, network)
        write_bytes(folder / "report.json", _report(layer, name))
        write_bytes(folder / "concepts_99.svg", svg)
        written += [folder / "report.json", folder / "concepts_99.svg"]
    return written + (_write_pictures(job, folders) if job.dataset is not None else [])


def _report(layer: LayerDissection, name: str) -> bytes:
    table = layer.units()
    columns = (table[c].tolist() for c in ("unit", "iou", "label", "category"))
    units = [
        {"image": f"image/unit{unit}.jpg", "unit": unit, "iou": iou, "label": label, "cat": category}
        for unit, iou, label, category in zip(*columns, strict=True)
    ]
    header = {"name": name, "image": "concepts_99.svg"}
    return json.dumps({"header": header, "units": units}, indent=1).encode()


def _write_pictures(job: Job, folders: list[Path]) -> list[Path]:
    written = []
    total = sum(layer.units_count for layer in job.layers)
    height, width = job.size
    across = (width + _GAP) * job.top - _GAP
    if max(height, across) > _LARGEST:
        raise SettingError(
            f"expected a row of pictures that fits a JPEG of {_LARGEST:,} pixels a side; got {height:,} x {across:,}; "
            "ask for fewer or smaller ones with --top and --size (top=, size=)"
        )
    for found, folder in zip(top_images(job), folders, strict=True):
        (folder / "image").mkdir()
        for unit in range(found.layer.units_count):
            row = np.full((height, across, 3), 255, np.uint8)
            for place, (pixels, mask) in enumerate(zip(*found.unit(unit), strict=True)):
                left = place * (width + _GAP)
                row[:, left : left + width] = masked_tile(pixels, mask)
            written.append(folder / "image" / f"unit{unit}.jpg")
            Image.fromarray(row).save(written[-1], "JPEG", quality=90)
            job.progress(len(written), total)
    return written
