"""`fastdissect data formats`: how data sets are named."""

from __future__ import annotations

from fastdissect.cli.options import Traceback, Verbose
from fastdissect.cli.terminal import output, plain

__all__ = ["formats"]


def formats(verbose: Verbose = 0, traceback: Traceback = False) -> None:
    """List how data sets are named, with their options; docs/datasets.md says what each reads.

    \b
    Example:
      fastdissect data formats
    """
    del verbose, traceback
    from fastdissect.datasets.opening import dataset_forms

    for form in dataset_forms():
        output().print(plain(form), soft_wrap=True)
