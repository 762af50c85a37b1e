"""MILAN: a folder a layer with the exemplars of every unit, units from 0.

images.npy        uint8 [units, top, 3, height, width]
masks.npy         uint8 [units, top, 1, height, width], 1 where the unit is active
ids.csv           image numbers [units, top] in the run's order (its images.csv), best first; no header
activations.csv   the maxima there

MILAN's own masks are the top 1 % of each unit; here they are the run's (`run --quantile 0.01` makes them so).
"""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import numpy as np

from fastdissect.errors import OutputError
from fastdissect.exporting.jobs import Job
from fastdissect.exporting.pictures import TopImages, top_images
from fastdissect.files import atomic_write, write_bytes

__all__ = ["write"]


def write(job: Job) -> list[Path]:
    """Write every layer's folder; never more than one unit's pictures in memory, besides decoded images."""
    total = sum(layer.units_count for layer in job.layers)
    need = total * job.top * 4 * job.size[0] * job.size[1]  # three colours and a mask
    free = shutil.disk_usage(job.folder).free
    if need > free:
        raise OutputError(
            f"{job.folder.parent}: expected room for {need:,} bytes of pictures ({total:,} units, {job.top} images "
            f"each); {free:,} are free; choose another folder, fewer layers, or a smaller --top or --size"
        )
    written: list[Path] = []
    done = 0
    for found in top_images(job):
        folder = job.place(found.layer)
        _write_arrays(job, found, folder, done)
        done += found.layer.units_count
        maxima = found.layer.maxima
        assert maxima is not None
        best = np.take_along_axis(maxima, found.ids.T, axis=0).T  # [units, top]
        _write_table(folder / "ids.csv", found.ids.tolist())
        _write_table(folder / "activations.csv", ([f"{v:.9g}" for v in row] for row in best.tolist()))
        written += [folder / n for n in ("images.npy", "masks.npy", "ids.csv", "activations.csv")]
    return written


def _write_arrays(job: Job, found: TopImages, folder: Path, done: int) -> None:
    units, top = found.ids.shape
    total = sum(layer.units_count for layer in job.layers)
    with ExitStack() as stack:
        files = {}
        for name, channels in (("images.npy", 3), ("masks.npy", 1)):
            shape = (units, top, channels, *job.size)
            files[name] = stack.enter_context(atomic_write(folder / name, int(np.prod(shape)) + 128))
            _write_header(files[name], shape)
        for unit in range(units):
            pixels, masks = found.unit(unit)
            files["images.npy"].write(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).data)
            files["masks.npy"].write(np.ascontiguousarray(masks[:, None]).view(np.uint8).data)
            job.progress(done + unit + 1, total)


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _write_table(path: Path, rows: Iterable[Iterable[object]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_bytes(path, text.getvalue().encode())
