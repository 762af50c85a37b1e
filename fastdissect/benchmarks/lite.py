"""NetDissect-Lite, from an unchanged checkout: its FeatureOperator on the case's arrays.

Its own quantile_threshold and tally run as they are. What is put in their way: the settings, stand-ins for what
today's libraries lack, a right category table, and a prefetcher that hands over decoded label maps, so that
reading PNGs is outside the clock on both sides. bench/peers/README.md gives the reasons.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.benchmarks.cases import Case
from fastdissect.benchmarks.scenes import SavedLabels
from fastdissect.benchmarks.standins import imread, imresize, never, offer
from fastdissect.benchmarks.work import Found, Work
from fastdissect.errors import DataError
from fastdissect.types import Concepts

__all__ = ["pipeline", "quantile", "tally"]


def import_lite(case: Case, **settings: Any) -> Any:
    """Its feature_operation module, ready for today's Python and this case."""
    offer("scipy.misc", {"imread": imread, "imresize": imresize, "imsave": never})
    offer("scipy.ndimage.interpolation", {"zoom": never})
    offer("scipy.ndimage.filters", {"gaussian_filter": never})
    offer("scipy.interpolate", {"RectBivariateSpline": never})
    offer("numpy", {"NaN": np.nan})
    sys.path.insert(0, case.settings["path"])
    own = importlib.import_module("settings")
    vars(own).update(
        GPU=False,
        PARALLEL=1,
        QUANTILE=0.005,
        IMG_SIZE=224,
        INDEX_FILE="index.csv",
        DATA_DIRECTORY=str(case.broden),
        CATAGORIES=[] if case.concepts is None else list(case.concepts.categories),
        OUTPUT_FOLDER=tempfile.mkdtemp(dir="."),
        **settings,
    )
    loader: Any = importlib.import_module("loader.data_loader")
    loader.SegmentationData.onehot = _onehot
    loader.SegmentationPrefetcher.batches = _batches
    loader.SegmentationPrefetcher.tensor_batches = _tensor_batches
    return importlib.import_module("feature_operation")


def _onehot(_: Any, numbers: NDArray[Any], minlength: int | None = None) -> NDArray[np.float64]:
    """A row a label with a 1 in its category; its own indexes with a list, which NumPy now reads as rows."""
    table: NDArray[np.float64] = np.eye(max(int(numbers.max()) + 1, minlength or 0))[numbers]
    return table


def _batches(prefetcher: Any) -> Iterator[Any]:
    """All batches; its own generator ends with `raise StopIteration`, an error since Python 3.7."""
    while (batch := prefetcher.fetch_batch()) is not None:
        yield batch


def _tensor_batches(prefetcher: Any, bgr_mean: Any = None, global_labels: bool = False) -> Iterator[Any]:
    while (
        batch := prefetcher.fetch_tensor_batch(bgr_mean=bgr_mean, global_labels=global_labels)
    ) is not None:
        yield batch


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """It prints a line a batch; they go nowhere."""
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def records(labels: SavedLabels, concepts: Concepts) -> list[dict[str, Any]]:
    """What its prefetcher yields for each image: a list of numbers, or int16 [channels, height, width]."""
    height, width = labels.size
    found = []
    for i, image in enumerate(labels.channels()):
        record: dict[str, Any] = {"i": i, "sh": height, "sw": width, "fn": ""}
        for q, category in enumerate(concepts.categories):
            own = [channel.labels for channel in image if channel.category == q]
            if all(isinstance(one, int) for one in own):
                record[category] = own
            else:
                full = (np.broadcast_to(np.asarray(one), labels.size) for one in own)
                record[category] = np.stack([one.astype(np.int16) for one in full])
        found.append(record)
    return found


def _check(found: list[dict[str, Any]], data: Any) -> None:
    """The records must be what its own reader decodes; the first three are compared.

    Raises:
        DataError: they are not.
    """
    for i in range(min(3, len(found))):
        own, _ = data.resolve_segmentation(data.metadata(i), categories=data.category_names())
        same = all(np.array_equal(found[i][category], labels) for category, labels in own.items())
        if not same or data.size() < len(found):
            raise DataError(f"image {i}: expected the label maps that NetDissect-Lite reads; got others")


def _operator(case: Case) -> Any:
    """A FeatureOperator whose prefetcher hands over decoded records of the case."""
    module = import_lite(case)
    assert case.labels is not None
    assert case.concepts is not None
    prepared = records(case.labels, case.concepts)

    class Prepared:
        def __init__(
            self, *_: Any, start: int = 0, end: int | None = None, batch_size: int = 4, **__: Any
        ) -> None:
            self.start, self.end, self.batch_size = start, end, batch_size

        def batches(self) -> Iterator[list[dict[str, Any]]]:
            own = prepared[self.start : self.end]
            for first in range(0, len(own), self.batch_size):
                yield own[first : first + self.batch_size]

    module.SegmentationPrefetcher = Prepared
    with quiet():
        operator = module.FeatureOperator()
    _check(prepared, operator.data)
    operator.data.image = operator.data.image[: case.images]
    return operator


def found_in(rows: list[dict[str, Any]], concepts: Concepts) -> Found:
    """Its table of units (numbers from 1, in the order of their scores) as arrays in the order of the units."""
    rows = sorted(rows, key=lambda row: int(row["unit"]))
    numbers = {**dict(zip(concepts.names, concepts.numbers.tolist(), strict=True)), "": 0}
    scores = [[float(row[f"{category}-iou"]) for category in concepts.categories] for row in rows]
    return {
        "score": np.array(scores),
        "label": np.array([numbers[row["label"]] if row["score"] else 0 for row in rows]),
    }


def quantile(case: Case) -> Work:
    """quantile_threshold on the network's layout; its own transposition, a batch at a time, is inside."""
    operator = import_lite(case).FeatureOperator

    def run(_: None) -> Found:
        with quiet():  # the method reads nothing of its object
            return {"thresholds": operator.quantile_threshold(None, case.activations)}

    return Work(run)


def tally(case: Case) -> Work:
    """tally, with the case's thresholds."""
    operator, concepts = _operator(case), case.concepts
    assert concepts is not None

    def run(_: None) -> Found:
        with quiet():
            return found_in(operator.tally(case.activations, case.thresholds), concepts)

    return Work(run)


def pipeline(case: Case) -> Work:
    """quantile_threshold, then tally."""
    operator, concepts = _operator(case), case.concepts
    assert concepts is not None

    def run(_: None) -> Found:
        with quiet():
            thresholds = operator.quantile_threshold(case.activations)
            rows = operator.tally(case.activations, thresholds)
        return {"thresholds": thresholds, **found_in(rows, concepts)}

    return Work(run)
