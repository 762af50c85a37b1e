"""Reopening: the network and the data set of a finished run, to run them once more.

Both are named in run.json. What is opened, or given instead, must be what was dissected: the weights and the data set
have the digests that the run wrote down.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch

from fastdissect.batches import BatchSource
from fastdissect.datasets import Dataset, open_dataset
from fastdissect.datasets.labelled import without_unlabelled
from fastdissect.datasets.opening import has_path
from fastdissect.datasets.segmented.generated import is_generated, with_network
from fastdissect.errors import DataError, FastdissectError, ModelError
from fastdissect.models import LoadedModel, Preprocessing, load_model
from fastdissect.recorded import recorded_input, recorded_key
from fastdissect.results import Dissection
from fastdissect.settings import checked_device
from fastdissect.sources import data_key, open_source
from fastdissect.types import Concepts

__all__ = [
    "Reopened",
    "recorded_data",
    "reopen",
    "reopen_data",
    "reopen_model",
]


class Reopened(NamedTuple):
    """A run's network on its device, in eval mode, and its images in the run's own batches."""

    loaded: LoadedModel
    source: BatchSource
    concepts: Concepts
    device: torch.device


def reopen(d: Dissection, *, model: Any = None, data: Any = None, device: str = "auto") -> Reopened:
    """Open a run's network and data set again, with the run's preprocessing, sizes and batches.

    Args:
        model: an nn.Module or a name, instead of the name that the run recorded. data: likewise.

    Raises:
        ModelError, DataError: it cannot be opened, or is another one than was dissected.
        OutputError: the run recorded too little.

    Example:
        >>> network, source, *_ = reopen(fd.load("out"))                     # doctest: +SKIP
        >>> next(source.batches(0, False)).images.shape                      # doctest: +SKIP
        torch.Size([32, 3, 224, 224])
    """
    target = checked_device(device)
    loaded = reopen_model(d, model)
    size, mask, batch = recorded_input(d)
    if is_generated(d.run.get("data")):
        data = with_network(d.run["data"] if data is None else data, loaded.module)
    opened = reopen_data(d, data) if data is None or isinstance(data, (str, Dataset)) else data
    given: dict[str, Any] = {} if isinstance(opened, Dataset) else {"concepts": d.concepts}
    source, concepts = open_source(
        opened,
        given.get("concepts"),
        loaded.preprocessing,
        d.profile,
        size=None if given else size,
        mask_size=mask,
        batch_size=batch,
        workers=None,
        images=len(d.image_names),
    )
    _check_data(d, source, concepts)
    loaded.module.to(target)
    return Reopened(loaded, source, concepts, target)


def reopen_model(d: Dissection, model: Any = None) -> LoadedModel:
    """Open a run's network, on the CPU, with the run's preprocessing.

    Raises:
        ModelError: it cannot be opened, or has other weights than were dissected.
    """
    key = recorded_key(d)
    name = str(d.run.get("model", ""))
    mean, std, interpolation = key["preprocessing"]
    wanted = Preprocessing(
        tuple(mean), tuple(std), tuple(key["input size"]), interpolation, source="the run that was dissected"
    )
    if model is not None:
        return _same_weights(load_model(model, preprocessing=wanted), name, key)
    folder = Path(str(d.run.get("folder", "")))
    try:
        with contextlib.chdir(folder if folder.is_dir() else "."):  # relative paths count from there
            loaded = load_model(name, preprocessing=wanted)
    except ModelError as error:
        raise ModelError(
            f"the run's network {name!r} cannot be opened by this name: {error}; give the network itself (model=, "
            "--model SPEC)"
        ) from error
    return _same_weights(loaded, name, key)


def _same_weights(loaded: LoadedModel, name: str, key: dict[str, Any]) -> LoadedModel:
    if loaded.weights_digest != key["weights"]:
        raise ModelError(
            f"expected the network that was dissected, {name!r} with weights {key['weights']}; got {loaded.name!r} "
            f"with {loaded.weights_digest}; give the same weights, or dissect this network"
        )
    return loaded


def reopen_data(d: Dissection, data: Any = None) -> Dataset:
    """Open a run's data set, and see that it holds the run's images, in their order.

    Args:
        data: a data set or its name, instead of the one that the run recorded.

    Returns:
        Dataset: whole, also where the run's profile left images without labels out.

    Raises:
        DataError: it cannot be opened, or names other images than the run.
    """
    dataset = recorded_data(d) if data is None else open_dataset(data)
    seen = without_unlabelled(dataset) if d.profile.unlabelled == "removed" else dataset
    names = d.image_names
    if len(seen) < len(names) or any(seen.image_name(i) != name for i, name in enumerate(names)):
        raise DataError(
            f"expected the {len(names):,} images of the run, from {names[0]!r} on; got {dataset.name} with "
            f"{len(seen):,}, from {seen.image_name(0) if len(seen) else 'none'!r} on; open the run's own data set "
            "(data=, --data SPEC)"
        )
    return dataset


def recorded_data(d: Dissection) -> Dataset:
    """Open the data set that run.json names, whatever it holds now.

    A relative path counts from the folder in which the run was started, or, where the data set is not there, from the
    present one.

    Raises:
        DataError: it cannot be opened.
    """
    spec = str(d.run.get("data", ""))
    if is_generated(spec):
        return cast(Dataset, with_network(spec, reopen_model(d).module))
    scheme, _, path = spec.partition(":")
    started = d.run.get("folder")
    if started and has_path(spec) and path and not path.startswith("~"):
        try:
            return open_dataset(f"{scheme}:{Path(str(started)) / path}")
        except FastdissectError:
            pass  # the folders were moved: try what the path means from here
    try:
        return open_dataset(spec)
    except FastdissectError as error:
        if spec.startswith(("DataLoader of ", "Pairs of ")):
            raise DataError(
                f"the run's images came from a {spec}, which no name opens; give it in Python (data=)"
            ) from error
        raise DataError(
            f"the run's data set cannot be opened: {error} Name it with --data SPEC (data=)"
        ) from error


def _check_data(d: Dissection, source: BatchSource, concepts: Concepts) -> None:
    expected, found = recorded_key(d), data_key(source, concepts)
    for what in ("image names", "vocabulary", "data set"):
        if expected.get(what) != found.get(what):
            raise DataError(
                f"expected the data set that was dissected; {source.name} has another {what} than the run recorded; "
                "open the run's own (data=, --data SPEC), or dissect this one"
            )
