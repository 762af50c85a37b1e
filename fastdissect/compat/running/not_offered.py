"""Names that a peer has and this package does not: an error that says what to use instead."""

from __future__ import annotations

import difflib
import dis
import sys
from collections.abc import Mapping

__all__ = ["refuse"]


def refuse(module: str, name: str, instead: Mapping[str, str]) -> AttributeError | ImportError:
    """The error that a module's `__getattr__` raises.

    An AttributeError; but `from MODULE import NAME` drops the message of those for one of its own, so to that
    statement (known by its instruction, in CPython) it is an ImportError.

    Args:
        module: full name of the module that was asked.
        name: what for.
        instead: what to use instead, by name.
    """
    if name in instead:
        message = f"{module} does not offer {name!r}: {instead[name]}"
        asking = sys._getframe(2)
        importing = asking.f_code.co_code[asking.f_lasti] == dis.opmap["IMPORT_FROM"]
        return ImportError(message, name=module) if importing else AttributeError(message)
    near = difflib.get_close_matches(name, dir(sys.modules[module]), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return AttributeError(f"module {module!r} has no attribute {name!r}{hint}")
