"""Running groups of layers one after the other, where they do not fit the memory together.

Each group is a run of its own over all images, with its own passes and checkpoints; its layers are written as they
conclude. The results are those of one run, bit for bit.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import shutil
from pathlib import Path

from fastdissect.errors import SettingError
from fastdissect.group_progress import GroupDone, GroupProgress, read_progress
from fastdissect.group_results import check_files, check_same, in_memory
from fastdissect.grouping import deal
from fastdissect.layer import LayerDissection
from fastdissect.opening import OpenedRun
from fastdissect.planning import TogetherError
from fastdissect.resuming import Checkpoints
from fastdissect.running import Run
from fastdissect.settings import RunSettings
from fastdissect.storage.folders import layer_folder
from fastdissect.storage.layer_files import write_layer

__all__ = ["begin_run", "run_groups"]

log = logging.getLogger("fastdissect")


def begin_run(opened: OpenedRun, work: Path, cache: Path | None, show: bool | None) -> Run | GroupProgress:
    """The run of all layers together; or, where they do not fit the memory, their groups.

    What can be gone on from goes on as it was begun.

    Raises:
        SettingError: a layer by itself does not fit, or the layers do no longer fit together.
    """
    settings, key = opened.settings, opened.key
    progress = read_progress(work, key)
    if progress is not None and (progress.done or Checkpoints(work / _folder(0), {}).begun):
        progress.memory = settings.memory or progress.memory
        return progress
    checkpoints = Checkpoints(work, key)
    try:
        return _run(opened, settings, checkpoints, cache, show)
    except TogetherError as error:
        if checkpoints.begun:
            checkpoints.load()  # one of other settings says so
            raise SettingError(
                f"{error.figures}; this run was begun with memory for all of them: give as much (--memory), or begin "
                "again with --fresh"
            ) from error
        shapes, memory = error.shapes, settings.memory
        if memory is None and settings.profile.population == "raw":
            memory = error.memory  # what is free now, for all groups alike
    plans = deal(
        shapes,
        settings.images,
        settings.profile,
        memory=memory,
        passes=settings.passes,
        known=frozenset(settings.thresholds),
    )
    log.warning(
        "the layers do not fit the memory together: they run in %d groups, %d passes over the images altogether; more "
        "memory (--memory) takes fewer",
        len(plans),
        sum(plan.passes for plan in plans),
    )
    checkpoints.clear()  # whatever a process that was killed left
    return GroupProgress(work, key, tuple(tuple(plan.layers) for plan in plans), memory)


def run_groups(
    opened: OpenedRun,
    progress: GroupProgress,
    out: Path | None,
    *,
    cache: Path | None,
    checkpoint_seconds: float,
    show: bool | None,
) -> dict[str, LayerDissection]:
    """Run the groups that are not done yet.

    Args:
        progress: is brought up to date, and written down, with every group.
        out: where the layers' files go; None: the layers come back, and do not rest on files.
        cache: folder of the plane cache; None: masks are kept between the groups alone.

    Returns:
        {layer: its results}; empty with `out`.

    Raises:
        OutputError: files of a group that was done are damaged, or the images have changed since.
        SettingError: there is less memory than when the groups were dealt.
    """
    if out is not None:
        check_files(out, progress.done)
    results: dict[str, LayerDissection] = {}
    cache = cache or progress.folder / "masks"
    progress.write()
    for number in range(len(progress.done), len(progress.groups)):
        work = progress.folder / _folder(number)
        title = f"group {number + 1} of {len(progress.groups)}"
        layers = progress.groups[number]
        log.info("%s: %s", title, ", ".join(layers))
        checkpoints = Checkpoints(work, {**progress.key, "group": list(layers)})
        settings = dataclasses.replace(opened.settings, layers=layers, memory=progress.memory)
        try:
            with contextlib.closing(_run(opened, settings, checkpoints, cache, show, title)) as run:
                run.collect(checkpoint_seconds if out else None)
                done = GroupDone(run.records.images, run.content(), {})
                check_same(opened.source.name, (*progress.done, done)[0], done)
                for layer in run.concluded():
                    if out is None:
                        results[layer.name] = in_memory(layer)
                    else:
                        folder = out / "layers" / layer_folder(layer.name)
                        done.entries[layer.name] = write_layer(layer, folder)
                    del layer  # it rests on the unfinished run's files
                done.record.update(run.record())
        except BaseException as error:
            if not progress.done and not checkpoints.begun:
                progress.forget()
            if isinstance(error, TogetherError):
                raise SettingError(
                    f"{title}: {error.figures}; give as much as when the groups were dealt (--memory), or begin again "
                    "with --fresh"
                ) from error
            raise
        progress.done.append(done)
        progress.write()
        shutil.rmtree(work, ignore_errors=True)
    return results


def _folder(number: int) -> str:
    """Of a group, from 0."""
    return f"group-{number + 1}"


def _run(
    opened: OpenedRun,
    settings: RunSettings,
    checkpoints: Checkpoints,
    cache: Path | None,
    show: bool | None,
    title: str = "",
) -> Run:
    loaded, source, concepts, device = opened.loaded, opened.source, opened.concepts, opened.device
    return Run(settings, loaded, source, concepts, device, checkpoints, cache, show, title=title)
