"""Decoding: images a second of each reader, one process, beside a plain Pillow loop over the same files.

    python bench/decoding.py [--quick]

200 (40) scenes of 480 x 640 with eight regions each, as JPEG, written in the layouts of several data sets. `image`,
`labels` and `pack` are the parts: decoding the image, decoding its labels at full size, and packing them as planes of
112 x 112. `Pillow` opens the image and, where the layout has one, its mask PNG, and makes arrays of them: nothing is
checked, hashed or looked up, and regions in JSON are not read at all. Formats that hold the same regions must count the
same pixels of each label, and images must be Pillow's.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from pathlib import Path

import numpy as np
from decoding_sets import LABELS, LISTED, PAINTED, Scene
from machine import paired, spread, write
from PIL import Image

from fastdissect.datasets import Dataset, check_dataset, open_dataset
from fastdissect.kernels import set_num_threads
from fastdissect.masks import image_planes
from fastdissect.packing import columns_of

MASK = (112, 112)


def parts(data: Dataset) -> np.ndarray:
    """Seconds for all images' pixels, labels and planes."""
    columns, spent = columns_of(data.concepts), np.zeros(3)
    for index in range(len(data)):
        marks = [time.perf_counter()]
        data.read_image(index)
        marks.append(time.perf_counter())
        channels = data.read_labels(index)
        marks.append(time.perf_counter())
        image_planes(channels, columns, MASK, once=True)
        marks.append(time.perf_counter())
        spent += np.diff(marks)
    return spent


def pillow(paths: list[tuple[Path, ...]]) -> None:
    for files in paths:
        for path in files:
            with Image.open(path) as image:
                np.asarray(image.convert("RGB") if path.suffix == ".jpg" else image)


def pixels(data: Dataset) -> list[int]:
    """Pixels of each of the labels, by the number in its name."""
    found = check_dataset(data)
    assert found.ok, found.problems
    by_name = dict(zip(found.concepts.names, found.concept_pixels.tolist(), strict=True))
    if len(by_name) != LABELS or "label 1" not in by_name:  # VOC has names of its own, ADE20K 150 classes
        return [
            int(n) for n in found.concept_pixels[np.isin(found.concepts.numbers, np.arange(1, LABELS + 1))]
        ]
    return [by_name[f"label {n}"] for n in range(1, LABELS + 1)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    logging.getLogger("fastdissect").setLevel(logging.ERROR)
    set_num_threads(1)
    scenes = [Scene(number) for number in range(40 if quick else 200)]
    rows = []
    plain: list[tuple[Path, ...]] = []
    with tempfile.TemporaryDirectory(prefix="fastdissect-decoding-") as place:
        for formats in (PAINTED, LISTED):
            expected: list[int] | None = None
            for name, writer in formats.items():
                data = open_dataset(writer(scenes, Path(place) / name.replace(", ", "-")))
                counted = pixels(data)
                if name not in ("coco, polygons", "labelme"):  # rasterised by each set's own rule
                    assert expected in (None, counted), f"{name} counts other pixels"
                    expected = counted
                files = [
                    tuple(p for p in data.files(i) if p.suffix in (".jpg", ".png")) for i in range(len(data))
                ]
                if not all(files):  # a tar: the same files as in the folder
                    files = plain
                if name == "folder":
                    plain = files
                with Image.open(files[0][0]) as image:
                    assert np.array_equal(np.asarray(image), data.read_image(0)[0]) or name == "webdataset"
                spent: list[np.ndarray] = []
                pairs = paired(
                    lambda data=data, spent=spent: spent.append(parts(data)),
                    lambda files=files: pillow(files),
                    3 if quick else 7,
                )
                image_s, labels_s, pack_s = np.median(np.array(spent[1:]), axis=0) / len(data)
                ours, theirs = (spread([pair[i] for pair in pairs])[1] / len(data) for i in (0, 1))
                rows.append(
                    {
                        "format": name,
                        "images/s": round(1 / ours),
                        "Pillow images/s": round(1 / theirs),
                        "Pillow reads": "image and mask" if len(files[0]) > 1 else "image",
                        "time over Pillow's": spread([a / b for a, b in pairs])[1],
                        "image ms": image_s * 1e3,
                        "labels ms": labels_s * 1e3,
                        "pack ms": pack_s * 1e3,
                    }
                )
    write("decoding", rows, processes=1, images=len(scenes), size="480 x 640", masks=8, planes=MASK)


if __name__ == "__main__":
    main()
