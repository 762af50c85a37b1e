"""The commands, put together, and `main`, what the shell calls."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

import fastdissect
from fastdissect.cli.ablate import ablate
from fastdissect.cli.bench import bench
from fastdissect.cli.chance import chance
from fastdissect.cli.compare import compare
from fastdissect.cli.data import data
from fastdissect.cli.demo import demo
from fastdissect.cli.doctor import doctor
from fastdissect.cli.explain import explain
from fastdissect.cli.export import export
from fastdissect.cli.factorize import factorize
from fastdissect.cli.failing import Commands, report_bug
from fastdissect.cli.hierarchy import hierarchy
from fastdissect.cli.layers import layers
from fastdissect.cli.merge import merge
from fastdissect.cli.net2vec import net2vec
from fastdissect.cli.report import report
from fastdissect.cli.rotate import rotate
from fastdissect.cli.run import run
from fastdissect.cli.semantics import semantics
from fastdissect.cli.show import show
from fastdissect.cli.sweep import sweep
from fastdissect.cli.terminal import output

__all__ = ["app", "main"]

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        version()
        raise typer.Exit


@app.callback()
def fastdissect_(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version and stop."),
    ] = False,
) -> None:
    """What has this network learned? For every unit of a vision network, the human concept that it detects.

    \b
    Begin with:
      fastdissect demo
    """


def version() -> None:
    """Show the version.

    \b
    Example:
      fastdissect version
    """
    output().print(f"fastdissect {fastdissect.__version__}")


app.command()(demo)
app.command()(run)
app.command()(merge)
app.command()(report)
app.command()(show)
app.command()(export)
app.command()(chance)
app.command()(rotate)
app.command()(sweep)
app.command()(compare)
app.command()(explain)
app.command()(ablate)
app.command()(net2vec)
app.command()(factorize)
app.command()(semantics)
app.command()(hierarchy)
app.command()(layers)
app.add_typer(data, name="data")
app.command()(bench)
app.command()(doctor)
app.command()(version)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (failing.py lists them).

    >>> main(["version"])
    fastdissect 0.1.0
    0
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a label that the terminal's encoding lacks
    try:
        app(None if arguments is None else list(arguments), prog_name="fastdissect")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BrokenPipeError:
        # The reader has gone (`| head`). Python flushes once more at the end: into nothing.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    except Exception:  # noqa: BLE001 - whatever it is, the user gets to know what to do with it
        report_bug()
        return 1
    return 0
