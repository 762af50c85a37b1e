"""davidbau/dissect's `netdissect`, under its own names: change the import, keep the script.

    from fastdissect.compat.netdissect import runningstats, tally

Offered are the modules `tally` and `runningstats`; any other of netdissect's is an AttributeError that says what to
use instead. See docs/netdissect.md.
"""

from __future__ import annotations

from typing import Any

from fastdissect.compat.netdissect import runningstats, tally
from fastdissect.compat.netdissect.not_offered import MODULES
from fastdissect.compat.running.not_offered import refuse

__all__ = ["runningstats", "tally"]


def __getattr__(name: str) -> Any:
    raise refuse(__name__, name, MODULES)
