"""`sweep()`: many networks or checkpoints over one data set, each an ordinary run; one that fails is reported and the
rest goes on."""

from __future__ import annotations

import gc
import inspect
import logging
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastdissect.errors import FastdissectError
from fastdissect.methods.sweeps.models import Candidate, candidates_of
from fastdissect.methods.sweeps.record import RecordedRun, prepare_sweep, write_entry
from fastdissect.methods.sweeps.result import Sweep, SweepRun
from fastdissect.methods.sweeps.steps import with_steps

if TYPE_CHECKING:
    from fastdissect.results import Dissection

__all__ = ["Sweep", "SweepRun", "sweep"]

log = logging.getLogger("fastdissect")

_COUNTS = ("batch_size", "memory", "device_memory", "images", "workers")


def sweep(
    models: Any,
    data: Any,
    layers: str | Sequence[str],
    *,
    out: str | Path,
    checkpoints: str | Path | Iterable[str | Path] | None = None,
    steps: Sequence[float] | None = None,
    accuracy: Mapping[str, float] | None = None,
    cache: str | Path | None = "auto",
    fresh: bool = False,
    on_run: Callable[[SweepRun, Dissection | None], None] | None = None,
    **options: Any,
) -> Sweep:
    """Dissect many networks, or many checkpoints of one, over one data set.

    Each becomes an ordinary run in OUT/<name>, which `fastdissect.load` opens; OUT/sweep.json lists them. The same
    call goes on where an earlier one stopped: finished runs are not run again, failed ones are tried again. Labels are
    packed once for each size of masks (a DataLoader's every time).

    Args:
        models: {name: model}, or a sequence of models, each as `dissect` takes it; names become folders.
        data: a data set as `dissect` takes it; opened once.
        layers: names or patterns; every model must have them.
        out: folder of the sweep.
        checkpoints: files or shell patterns ("ckpt/*.pt"): `models` is then one model, into which each file's weights
            are loaded (`fastdissect.models.checkpoints`). The runs are named by the files.
        steps: for each checkpoint or model; default: the last number in each file's name, or an entry in it.
        accuracy: {name: 0 to 1}, for the record; `compare` draws it.
        cache: folder for packed masks, "auto" (the user's cache folder), or None: in OUT, as long as the sweep runs.
        fresh: move an existing `out` aside.
        on_run: called after each model with what became of it and its results (None where it failed).
        options: of `dissect`, the same for all.

    Returns:
        Sweep: also where models failed; `.failed` lists them.

    Raises:
        SettingError, DataError, OutputError: the arguments, the data set or the folder; before anything is run.

    Example:
        >>> found = sweep("net.py:build", "shapes", "conv5", out="runs", checkpoints="ckpt/*.pt")  # doctest: +SKIP
        >>> found.table()[["name", "step", "detectors"]]                                           # doctest: +SKIP

    Source: Network Dissection (Bau, Zhou et al. 2017), section 3.3, looked at training snapshots so; our formulation.
    """
    from fastdissect.datasets import Dataset, open_dataset

    found, source = with_steps(candidates_of(models, checkpoints, accuracy), steps)
    _check_options(options)
    opened = open_dataset(data) if isinstance(data, (str, Dataset)) else data
    out = Path(out)
    prepare_sweep(out, fresh)
    planes = out / ".planes"
    place = planes if cache is None else cache
    runs = []
    try:
        for number, one in enumerate(found):
            log.info("%s, %d of %d", one.name, number + 1, len(found))
            run, dissection = _run(one, opened, layers, out, place, options)
            write_entry(out, RecordedRun(run.name, run.folder.name, run.step, run.accuracy, run.error))
            runs.append(run)
            if on_run is not None:
                on_run(run, dissection)
            del dissection
            _free()
    finally:
        shutil.rmtree(planes, ignore_errors=True)
    return Sweep(out, tuple(runs), source)


def _run(
    one: Candidate, data: Any, layers: Any, out: Path, cache: Any, options: Mapping[str, Any]
) -> tuple[SweepRun, Dissection | None]:
    from fastdissect.dissection import dissect

    folder = out / one.name
    title = one.spec if isinstance(one.spec, str) else type(one.model).__name__
    try:
        dissection = dissect(one.load(), data, layers, out=folder, cache=cache, **options)
    except (Exception, SystemExit) as error:  # a stranger's network may raise anything, a script may exit
        own = isinstance(error, FastdissectError)
        message = " ".join((str(error) if own else f"{type(error).__name__}: {error}").split())
        log.debug("%s failed", one.name, exc_info=True)
        return SweepRun(one.name, title, folder, one.step, one.accuracy, message), None
    return SweepRun(
        one.name,
        title,
        folder,
        one.step,
        one.accuracy,
        None,
        float(dissection.run.get("seconds", 0)),
        {name: layer.summary() for name, layer in dissection.items()},
    ), dissection


def _check_options(options: Mapping[str, Any]) -> None:
    """What would fail for every model alike is said before any is run."""
    from fastdissect.conventions import profile as profile_of
    from fastdissect.dissection import dissect
    from fastdissect.settings import check_choices, checked_device, parse_size

    known = inspect.signature(dissect).parameters
    items = {name: value for name, value in options.items() if name not in known}
    if options.get("quantile") is not None:
        items["quantile"] = options["quantile"]
    profile_of(options.get("profile", "netdissect"), **items)
    check_choices(
        options.get("nan", "error"),
        options.get("passes", "auto"),
        **{name: (options.get(name), 0 if name == "workers" else 1) for name in _COUNTS},
    )
    for name in ("size", "mask_size"):
        parse_size(options.get(name), name)
    checked_device(options.get("device", "auto"))


def _free() -> None:
    """Let go of a network before the next one comes."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
