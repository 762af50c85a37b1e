"""Writing to a terminal: nothing that comes from a file may steer it."""

from __future__ import annotations

import logging
import os
import sys
import unicodedata
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["error_line", "listing", "output", "plain", "start_logging"]

_WIDE = 120  # columns of what goes to a file or a pipe
_STEERS = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # escapes, directions, half characters, line ends


def plain(text: object) -> str:
    r"""Return text in which control characters are written out; a terminal shows it and does nothing else.

    >>> plain("sky\x1b[31m"), plain("a\tb"), plain("\u202egnp")
    ('sky\\x1b[31m', 'a\\tb', '\\u202egnp')
    """
    return "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in _STEERS else c for c in str(text)
    )


def output(*, stderr: bool = False) -> Console:
    """Return a console that takes text as it is: no markup, no emoji codes, no guessed colours."""
    console = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _WIDE
    return console


def listing(columns: Iterable[str], *, title: str | None = None, right: Iterable[str] = ()) -> Table:
    """Return an empty table; `right` names the columns of numbers. Nothing is cut: long text is folded."""
    table = Table(title=None if title is None else Text(title), title_justify="left", header_style="bold")
    numbers = set(right)
    for name in columns:
        table.add_column(Text(name), justify="right" if name in numbers else "left", overflow="fold")
    return table


def error_line(message: object) -> None:
    """Write "error: ..." to standard error, whatever the message holds, as one paragraph."""
    text = Text.assemble(("error:", "bold red"), " ", " ".join(plain(line) for line in _lines(message)))
    output(stderr=True).print(text, soft_wrap=True)


def _lines(message: object) -> list[str]:
    return [line.strip() for line in str(message).splitlines() if line.strip()]


class _Handler(logging.Handler):
    """Log lines on standard error as it is now: a progress bar takes its place while it is drawn."""

    def emit(self, record: logging.LogRecord) -> None:
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        try:
            print(f"{level}{plain(record.getMessage())}", file=sys.stderr)  # noqa: T201
        except Exception:  # noqa: BLE001 - a log line never ends a run: the logging module's own rule
            self.handleError(record)


def start_logging(verbose: int) -> None:
    """Show the package's log on standard error: warnings, with 1 what happens, with 2 everything."""
    log = logging.getLogger("fastdissect")
    for handler in [h for h in log.handlers if isinstance(h, _Handler)]:
        log.removeHandler(handler)
    log.addHandler(_Handler())
    log.setLevel((logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)])
