"""The data set of a finished run, opened again for its pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastdissect.errors import DataError

if TYPE_CHECKING:
    from fastdissect.datasets import Dataset
    from fastdissect.results import Dissection

__all__ = ["run_dataset"]


def run_dataset(dissection: Dissection) -> Dataset:
    """Open the data set that run.json records.

    Raises:
        DataError: it cannot be opened; the message has the ways around that.
    """
    from fastdissect.reopening import recorded_data

    try:
        return recorded_data(dissection)
    except DataError as error:
        raise DataError(f"{error}, or write the report without pictures with --data none") from error
