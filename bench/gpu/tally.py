"""davidbau/dissect's tally on the GPU beside ours, on the same activations and labels, both on the device.

    DISSECT=/path/to/checkout bash bench/gpu.sh

Its tally functions run unchanged (fastdissect/benchmarks/davidbau.py); its tensors, labels too, lie on the device
beforehand. Ours: one sift with the same thresholds, then the count against planes packed beforehand. IoU are compared;
a GPU fuses what it upsamples with, which may turn a pixel that lies at the threshold: 1e-4 of a mask.

Predicted: for every image and label it makes a mask, gathers what lies under it of 512 x 12,544 floats (26 MB) and
reduces that several times: 10 labels x 5 passes x 26 MB = 1.3 GB, 0.3 ms, and some 200 launches of 5 us: 1 to 3 ms an
image. Ours: sift 0.03 us, count 0.5 us, and the host's time of a call (0.2 ms a batch of 32): 4 to 10 us an image. So
100 to 700 times.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gpu.rows import Rows, Wanted
from gpu.timing import Device, paired, quartiles

from fastdissect.arrays import activation_view
from fastdissect.benchmarks import davidbau
from fastdissect.benchmarks.cases import Case
from fastdissect.benchmarks.maps import bump_maps
from fastdissect.benchmarks.ours import pipeline_on_arrays
from fastdissect.benchmarks.scenes import labelled_shapes, read_labels
from fastdissect.conventions import profile
from fastdissect.scores import iou

WANTED = Wanted("tally, times davidbau/dissect's on the GPU", at_least=50)
UNITS, SIDE, SIZE = 512, 7, (112, 112)


def run(device: Device, rows: Rows, checkout: str, quick: bool = False) -> None:
    assert Path(checkout, "netdissect", "tally.py").is_file(), (
        f"no checkout of davidbau/dissect in {checkout}"
    )
    torch, images = device.torch, 16 if quick else 128
    case = make_case(images, checkout)
    assert case.labels is not None
    assert case.concepts is not None
    convention = profile("dissect-2020")
    stages = davidbau._Stages(case)
    stages.activations, stages.labels = (t.to(device.place) for t in (stages.activations, stages.labels))
    thresholds = torch.from_numpy(case.thresholds).to(device.place)
    planes = case.labels.planes(case.concepts, once=convention.repeats == "once")
    view = activation_view(stages.activations)
    found: dict[str, Any] = {}

    def theirs() -> None:
        found["theirs"] = stages.found(stages.scores(thresholds).cpu().numpy())["iou"]

    def ours() -> None:
        counts = pipeline_on_arrays(view, planes, case.concepts, convention, case.thresholds).counts
        found["ours"] = iou(counts, case.concepts, convention)

    pairs = paired(lambda: device.seconds(theirs), lambda: device.seconds(ours), 1 if quick else 5)
    apart = float(np.abs(found["ours"] - found["theirs"]).max())
    assert apart < 5e-3, f"the two find other IoU, by up to {apart}: the times are of different things"
    ratios = quartiles([a / b for a, b in pairs])
    rows.add(
        "tally",
        {
            "images": images,
            "maps": f"{UNITS} x {SIDE} x {SIDE}",
            "masks": "112 x 112",
            "theirs, us an image": quartiles([a / images * 1e6 for a, _ in pairs]),
            "ours, us an image": quartiles([b / images * 1e6 for _, b in pairs]),
            "times": ratios,
            "largest difference of IoU": apart,
        },
    )
    rows.add("wanted", WANTED.row(f"{UNITS} x {SIDE} x {SIDE}, {images} images", ratios[1], 100))


def make_case(images: int, checkout: str) -> Case:
    """Generated images' labels at the masks' size, seeded maps, exact thresholds over the raw maps."""
    dataset = labelled_shapes(images, 2 * SIZE[0])
    labels = read_labels(dataset, SIZE)
    maps = bump_maps(images, UNITS, SIDE)
    values = np.ascontiguousarray(maps.transpose(1, 0, 2, 3)).reshape(UNITS, -1)
    rank = int(profile("dissect-2020").quantile * values.shape[1])
    thresholds = -np.partition(-values, rank, axis=1)[:, rank]
    return Case(maps, "float32", labels, dataset.concepts, thresholds, settings={"path": checkout})
