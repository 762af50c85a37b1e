"""How a command ends when it cannot: which words, which exit code.

0     done
1     it could not be done (the message says why), or `data check` found problems
2     the command line itself is wrong
130   Ctrl-C
"""

from __future__ import annotations

import errno
import importlib.metadata
import platform
import sys
import traceback
from typing import Any

import typer
from typer.core import TyperGroup

from fastdissect.cli.terminal import error_line, output, plain
from fastdissect.errors import FastdissectError

__all__ = ["TRACEBACK", "Commands", "report_bug"]

TRACEBACK = "fastdissect.traceback"  # in `Context.meta`: show where an error came from
_PATHS = (errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.ELOOP)


class Commands(TyperGroup):
    """A group whose commands end in one clear line when they fail on purpose."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]  # typer's own Context
        try:
            return super().invoke(ctx)
        except FastdissectError as error:
            if ctx.meta.get(TRACEBACK):
                traceback.print_exc()
            error_line(error)
            raise typer.Exit(1) from error
        except OSError as error:  # a path that was looked at and may not, or cannot, be
            if error.filename is None or error.errno not in _PATHS:
                raise
            if ctx.meta.get(TRACEBACK):
                traceback.print_exc()
            error_line(
                f"{error.filename}: expected a path that can be used; got: {error.strerror}; choose another"
            )
            raise typer.Exit(1) from error
        except RuntimeError as error:  # of Path.expanduser, for ~nobody
            if "home directory" not in str(error):
                raise
            if ctx.meta.get(TRACEBACK):
                traceback.print_exc()
            error_line(
                "expected paths that can be used; one begins with ~ and the name of nobody here; write it in full"
            )
            raise typer.Exit(1) from error
        except KeyboardInterrupt as error:
            output(stderr=True).print("interrupted")
            raise typer.Exit(130) from error


def report_bug() -> None:
    """Print the traceback of an error that nobody expected, and what a report of it needs."""
    traceback.print_exc()
    place = next(iter(_links()), "the project's issue tracker")
    versions = ", ".join(f"{name} {_version(name)}" for name in ("fastdissect", "numpy", "torch", "numba"))
    error_line(
        "this is a bug in fastdissect, or in code that you gave it; please report it to "
        f"{plain(place)}, with the lines above, the command, and: {versions}, "
        f"Python {platform.python_version()}, {platform.platform()}"
    )


def _links() -> list[str]:
    try:
        found = importlib.metadata.metadata("fastdissect").get_all("Project-URL") or []
    except importlib.metadata.PackageNotFoundError:  # run from a checkout
        return []
    pairs = (str(entry).partition(",") for entry in found)
    return [link.strip() for name, _, link in pairs if name.strip().lower() in ("issues", "bug tracker")]


def _version(name: str) -> str:
    loaded = getattr(sys.modules.get(name), "__version__", None)
    if loaded is not None:
        return str(loaded)
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
