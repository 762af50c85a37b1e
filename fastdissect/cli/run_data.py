"""The data set of a finished run, opened again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fastdissect.datasets import Dataset, open_dataset
from fastdissect.errors import DataError, FastdissectError

if TYPE_CHECKING:
    from fastdissect.results import Dissection

__all__ = ["run_dataset"]


def run_dataset(dissection: Dissection) -> Dataset:
    """Open the data set that run.json records.

    A relative path counts from the folder in which the run was started, or, where the data set is not there,
    from the present one.

    Raises:
        DataError: it cannot be opened.
    """
    spec = str(dissection.run.get("data", ""))
    scheme, _, path = spec.partition(":")
    started = dissection.run.get("folder")
    if started and scheme in ("broden", "folder") and path and not path.startswith("~"):
        try:
            return open_dataset(f"{scheme}:{Path(str(started)) / path}")
        except FastdissectError:
            pass  # the folders were moved: try what the path means from here
    try:
        return open_dataset(spec)
    except FastdissectError as error:
        raise DataError(
            f"the run's data set cannot be opened: {error} Name it with --data SPEC, or write the report without "
            "pictures with --data none"
        ) from error
