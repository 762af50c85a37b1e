"""The folder of a run: what may be in it before, while it is unfinished, and after an error.

OUT/run.json       a finished run
OUT/unfinished/    everything that grows while a run goes on; gone when it is finished
OUT/shards/        parts of a run that are yet to be merged (shard_files.py)
"""

from __future__ import annotations

import contextlib
import errno
import logging
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fastdissect.errors import OutputError
from fastdissect.results import Dissection, load
from fastdissect.resuming import refuse_other

__all__ = ["finished_run", "prepare", "prepare_shared", "set_aside", "work_folder"]

log = logging.getLogger("fastdissect")


def set_aside(out: Path) -> Path | None:
    """Move a result folder to OUT.1 (the first free number); None if there is nothing to move."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    number = 1
    while (aside := out.with_name(f"{out.name}.{number}")).exists():
        number += 1
    try:
        out.rename(aside)
    except OSError as error:
        raise OutputError(f"{out} cannot be moved to {aside}: {error.strerror}") from error
    return aside


def prepare(out: Path, fresh: bool) -> None:
    """Make `out` ready: empty, of an unfinished run, or of a finished one.

    Raises:
        OutputError: it is a file, holds something else, or cannot be made.
    """
    try:
        if fresh:
            with _locked(out / "unfinished") if (out / "unfinished").is_dir() else contextlib.nullcontext():
                aside = set_aside(out)
            if aside is not None:
                log.info("moved %s to %s", out, aside)
        if out.exists() and not out.is_dir():
            raise OutputError(
                f"{out}: expected a folder for the results; there is a file of that name; choose another"
            )
        if (out / "run.json").exists():
            return
        with contextlib.suppress(OSError):
            (out / "shards").rmdir()  # empty: of a shard that was refused
        if (out / "shards").is_dir():
            raise OutputError(
                f"{out} holds shards, or the parts of several processes, that are not merged yet; go on with the rest of "
                "them (--shard, or torchrun with as many processes), merge them (fastdissect merge), or use --fresh"
            )
        if out.is_dir() and not (out / "unfinished").is_dir() and any(out.iterdir()):
            raise OutputError(
                f"{out}: expected an empty folder or one of an unfinished run; choose another, or use --fresh"
            )
        (out / "unfinished").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{out} cannot be made: {error.strerror}; choose another folder") from error


def prepare_shared(out: Path, fresh: bool = False) -> None:
    """Make `out` ready for shards: empty, or with shards already.

    Raises:
        OutputError: it is a file, holds something else (a run of one process, too), or cannot be made.
    """
    try:
        if fresh:
            with _locked(out / "unfinished") if (out / "unfinished").is_dir() else contextlib.nullcontext():
                aside = set_aside(out)
            if aside is not None:
                log.info("moved %s to %s", out, aside)
        if out.exists() and not out.is_dir():
            raise OutputError(
                f"{out}: expected a folder for the results; there is a file of that name; choose another"
            )
        if (out / "run.json").exists() or (out / "shards").is_dir():
            return
        if (out / "unfinished").is_dir():
            raise OutputError(
                f"{out} is an unfinished run of one process; go on with it alone, choose another folder, or use --fresh"
            )
        if out.is_dir() and any(out.iterdir()) and not (out / "shards").is_dir():
            raise OutputError(
                f"{out}: expected an empty folder or one of shards; choose another, or use --fresh"
            )
        (out / "shards").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{out} cannot be made: {error.strerror}; choose another folder") from error


def finished_run(out: Path, key: Mapping[str, Any]) -> Dissection | None:
    """The run in `out`, if it is finished.

    Raises:
        OutputError: it has another key (each difference is named), or is damaged.
    """
    if not (out / "run.json").exists():
        return None
    finished = load(out)
    refuse_other(out, finished.run.get("key", {}), key)
    shutil.rmtree(out / "unfinished", ignore_errors=True)  # the process may have been killed before this
    log.info("%s is complete; --fresh runs it again", out)
    return finished


@contextlib.contextmanager
def work_folder(out: Path | None) -> Iterator[Path]:
    """The folder for everything unfinished: OUT/unfinished, or a temporary one. Gone after success.

    A run that fails before its first checkpoint leaves nothing behind.

    Raises:
        OutputError: another process is at work in it.
    """
    if out is None:
        with tempfile.TemporaryDirectory(prefix="fastdissect-") as temporary:
            yield Path(temporary)
        return
    work = out / "unfinished"
    with _locked(work):
        try:
            yield work
        except BaseException:
            _remove_failed(out)
            raise
        shutil.rmtree(work, ignore_errors=True)


def _remove_failed(out: Path) -> None:
    """Remove what nothing can go on from: a run without a checkpoint, and the files of a save that broke off."""
    work = out / "unfinished"
    if (out / "run.json").exists() or any(work.glob("checkpoint-*.json")):
        return
    for folder in (work, out / "layers"):
        shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        (out / "images.csv").unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # it holds something else
        out.rmdir()


@contextlib.contextmanager
def _locked(work: Path) -> Iterator[None]:
    """Let one process at a time work in a folder; the system lets go of the lock when the process ends."""
    try:
        import fcntl
    except ImportError:  # Windows has no such call
        yield
        return
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context((work / "lock").open("wb"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(
                f"{work.parent}: another process is at work in it; wait for it, or choose another folder"
            ) from None
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL):  # a file system without locks
                raise OutputError(
                    f"{work} cannot be written: {error.strerror}; choose another folder"
                ) from error
        yield
