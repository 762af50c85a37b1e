"""The command line: parse, call, print. One file a command; none imports torch or pandas before it runs."""

from __future__ import annotations

from fastdissect.cli.app import app, main

__all__ = ["app", "main"]
