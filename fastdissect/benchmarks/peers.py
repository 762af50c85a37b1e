"""Who can take part: peers that are folders, libraries that are installed; and the word for each that is missing."""

from __future__ import annotations

import importlib.util
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fastdissect.errors import SettingError

__all__ = ["CHECKOUTS", "Field", "field_of"]


class Checkout(NamedTuple):
    """A peer that is only a repository."""

    option: str
    title: str
    repository: str
    files: tuple[str, ...]  # what is expected in its folder


CHECKOUTS: Mapping[str, Checkout] = {
    "netdissect-lite": Checkout(
        "--netdissect-lite",
        "NetDissect-Lite",
        "CSAILVision/NetDissect-Lite",
        ("feature_operation.py", "settings.py", "loader/data_loader.py", "util/vecquantile.py"),
    ),
    "dissect": Checkout(
        "--dissect",
        "davidbau/dissect",
        "davidbau/dissect",
        ("netdissect/tally.py", "netdissect/runningstats.py", "netdissect/upsample.py"),
    ),
    "baukit": Checkout("--baukit", "baukit", "davidbau/baukit", ("baukit/runningstats.py",)),
}
LIBRARIES = ("torch", "datasketches", "crick")


@dataclass(frozen=True)
class Field:
    """Who takes part."""

    paths: Mapping[str, Path]  # of the checkouts that were given
    libraries: frozenset[str]
    skipped: Mapping[str, str]  # name -> why it does not take part
    commits: Mapping[str, str]  # of the checkouts


def field_of(paths: Mapping[str, Path | None]) -> Field:
    """Look at the folders that were given and at what is installed.

    Args:
        paths: by the names of `CHECKOUTS`; None or absent: not given.

    Raises:
        SettingError: a folder that is no checkout of that peer; says which file is missing and where to get it.
    """
    found: dict[str, Path] = {}
    skipped: dict[str, str] = {}
    for name, peer in CHECKOUTS.items():
        path = paths.get(name)
        if path is None:
            skipped[peer.title] = f"no {peer.option} PATH was given"
            continue
        for file in peer.files:
            if not (path / file).is_file():
                raise SettingError(
                    f"{peer.option} {path}: expected a checkout of {peer.repository}, with {', '.join(peer.files)}; "
                    f"got {'a folder without ' + file if path.is_dir() else 'no folder'}; clone "
                    f"https://github.com/{peer.repository} and give its folder"
                )
        found[name] = path.resolve()
    libraries = frozenset(name for name in LIBRARIES if importlib.util.find_spec(name))
    for name in LIBRARIES:
        if name not in libraries:
            skipped[name] = "not installed; pip install 'fastdissect[bench]' brings it"
    return Field(found, libraries, skipped, {name: commit_of(path) for name, path in found.items()})


def commit_of(folder: Path) -> str:
    """Short hash of a checkout's commit, "+" where files differ from it; "unknown" where git does not say."""
    try:
        head = _git(folder, "rev-parse", "--short", "HEAD")
        return head + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
