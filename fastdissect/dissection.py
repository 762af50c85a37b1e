"""`dissect()`: the whole chain, readable top to bottom.

    images -> activations -> retained cells and thresholds -> counts -> results

One forward pass a batch serves all layers; a layer that needs more than one pass over the data makes the
network run again, on the same batches. Layers that do not fit the memory together run in groups, one after the other.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from fastdissect.caching import cache_folder
from fastdissect.codes import Codes
from fastdissect.directions import Directions
from fastdissect.distributed import dissect_together, ranks_here
from fastdissect.forward_options import in_channels_last
from fastdissect.group_results import in_memory, joined_record
from fastdissect.group_running import begin_run, run_groups
from fastdissect.models import Preprocessing, TokenGrid
from fastdissect.opening import open_run
from fastdissect.out_folder import finished_run, prepare, work_folder
from fastdissect.results import Dissection, load
from fastdissect.running import Run
from fastdissect.storage.run_record import write_images, write_record
from fastdissect.types import Concepts, Profile

__all__ = ["dissect"]


def dissect(
    model: Any,
    data: Any,
    layers: str | Sequence[str],
    *,
    quantile: float | str | Fraction | None = None,
    profile: str | Profile = "netdissect",
    device: str = "auto",
    dtype: str | None = None,
    compile: bool = False,
    channels_last: bool = False,
    out: str | Path | None = None,
    thresholds: Mapping[str, ArrayLike] | None = None,
    directions: Mapping[str, Directions | Codes] | None = None,
    batch_size: int = 32,
    workers: int | None = None,
    size: int | str | tuple[int, int] | None = None,
    mask_size: int | str | tuple[int, int] | None = None,
    preprocessing: Preprocessing | None = None,
    images: int | None = None,
    concepts: Concepts | Sequence[str] | None = None,
    nan: str = "error",
    layout: str = "auto",
    tokens: TokenGrid | None = None,
    memory: int | None = None,
    device_memory: int | None = None,
    passes: int | str = "auto",
    activations: bool | Sequence[str] = True,
    fresh: bool = False,
    cache: str | Path | None = "auto",
    checkpoint_seconds: float = 60.0,
    progress: bool | None = None,
    **conventions: Any,
) -> Dissection:
    """Label each unit of some layers with the concept that it detects.

    Args:
        model: an nn.Module (put into eval mode), or a name: "builtin:shapes", "torchvision:resnet18",
            "timm:...", "transformers:...", "path/to/file.py:function", "package.module:callable".
        data: a datasets.Dataset, a DataLoader of (images, labels) with `concepts`, or a name: "shapes",
            "broden:PATH", "folder:PATH".
        layers: names from model.named_modules(), or shell patterns ("*" stops at dots, "**" does not).
        quantile: the top fraction of activations that makes a unit's mask; default: the profile's.
        profile: "netdissect", "netdissect-caffe", "netdissect-lite" or "dissect-2020"; any item of it can be
            set by itself (`readout=`, `population=`, `upsampling=`, `presence=`, `unlabelled=`, `cut=`, ...).
        device: of the forward pass: "auto", "cpu", "cuda", "cuda:1", "mps".
        dtype: "bfloat16" or "float16": mixed precision (`torch.autocast`); "float32": refuses other networks;
            default: the network as it is. compile: by `torch.compile`. channels_last: torch's memory format;
            the network is changed by neither, once the run is over.
        out: folder for results; with it an interrupted run goes on where it stopped.
        thresholds: {layer: [units]}, to count with thresholds from elsewhere.
        directions: {name: Directions or Codes}: maps of layers' channels, dissected under these names in the same
            forward pass; `layers` may then be empty.
        batch_size: images a forward pass (a DataLoader has its own). workers: processes that decode images;
            0: none; default: by the number of threads.
        size, mask_size: the network's input and the masks, (height, width); default: the model's or the
            data set's, and half of it.
        preprocessing: mean, standard deviation and interpolation; default: what the model states.
        images: only the first so many images; of a DataLoader without a length, an upper bound of it.
        concepts: a DataLoader's vocabulary: names in the order of the label numbers from 1, or a Concepts.
        nan: "error", or "omit": unusable cells are left out.
        layout, tokens: how outputs lie, where it cannot be told: "NCHW", "NHWC", "NTC"; a TokenGrid.
        memory: bytes for all retained cells; default: half of what is free. Layers that do not fit it together run in
            groups, each with passes of its own. passes: "auto", 1, 2 or 3.
        device_memory: bytes for those that lie on a GPU, on each; default: a quarter of what is free there. A layer
            that outgrows its share moves to host memory.
        activations: keep the sparse activations, means and maxima in the result; or the names of the layers that
            keep theirs.
        fresh: move an existing `out` aside instead of going on with it.
        cache: folder for packed masks, "auto" (the user's cache folder) or None.
        checkpoint_seconds: between two checkpoints, with `out`, and at least thirty times what the last one took; 0:
            after every batch. progress: bars; default: on a terminal.

    Returns:
        Dissection: {layer: LayerDissection}.

    Raises:
        FastdissectError: any of its kinds; the message says what was expected, what came, and what to do.

    Example:
        >>> d = dissect("builtin:shapes", "shapes:images=200", "conv5")     # doctest: +SKIP
        >>> d["conv5"].summary().detectors                                  # doctest: +SKIP

    Source: Network Dissection (Bau, Zhou et al. 2017); the one-pass computation is our formulation.
    """
    started = time.time()
    opened = open_run(
        model,
        data,
        layers,
        quantile=quantile,
        profile=profile,
        device=device,
        dtype=dtype,
        compile=compile,
        channels_last=channels_last,
        thresholds=thresholds,
        directions=directions,
        batch_size=batch_size,
        workers=workers,
        size=size,
        mask_size=mask_size,
        preprocessing=preprocessing,
        images=images,
        concepts=concepts,
        nan=nan,
        layout=layout,
        tokens=tokens,
        memory=memory,
        device_memory=device_memory,
        passes=passes,
        activations=activations,
        **conventions,
    )
    settings, source, key = opened.settings, opened.source, opened.key
    folder = None if out is None else Path(out)
    ranks = ranks_here()
    if ranks is not None:
        return dissect_together(
            opened,
            ranks,
            folder,
            fresh=fresh,
            cache=cache,
            checkpoint_seconds=checkpoint_seconds,
            progress=progress,
        )
    if folder is not None:
        prepare(folder, fresh)
        finished = finished_run(folder, key)
        if finished is not None:
            return finished
    place = None if cache is None else cache_folder() if cache == "auto" else Path(cache)
    with work_folder(folder) as work, in_channels_last(opened.loaded.module, settings.forward):
        begun = begin_run(opened, work, place, progress)
        if isinstance(begun, Run):
            with contextlib.closing(begun) as run:
                run.collect(checkpoint_seconds if folder else None)
                results = run.conclude()
                record = {**opened.record(), **run.record(), "seconds": round(time.time() - started, 3)}
                image_names = tuple(source.image_name(i) for i in range(run.records.images))
                if folder is None:
                    results = {name: in_memory(layer) for name, layer in results.items()}
                dissection = Dissection(results, settings.profile, opened.concepts, image_names, record)
                if folder is None:
                    return dissection
                dissection.save(folder)
                del dissection, results  # they rest on the unfinished run's files
        else:
            results = run_groups(
                opened, begun, folder, cache=place, checkpoint_seconds=checkpoint_seconds, show=progress
            )
            how = joined_record([group.record for group in begun.done])
            record = {**opened.record(), **how, "seconds": round(time.time() - started, 3)}
            image_names = tuple(source.image_name(i) for i in range(begun.done[0].images))
            if folder is None:
                return Dissection(results, settings.profile, opened.concepts, image_names, record)
            written = {name: entry for group in begun.done for name, entry in group.entries.items()}
            write_record(folder, written, write_images(folder, image_names), settings.profile, record)
    return load(folder)
