"""Results in, files out: a run as a folder of HTML that opens from disk. Computes nothing that is a result."""

from __future__ import annotations

from fastdissect.reports.writing import write_report

__all__ = ["write_report"]
