"""The command line in a test: a network in a file, small data, and a call in this process or another."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fastdissect.cli import app

NET = """
import os, time
import torch
from torch import nn

class Pause(nn.Module):
    def forward(self, x):
        time.sleep(float(os.environ.get("TEST_PAUSE", "0")))
        return x

class Broken(nn.Module):
    def forward(self, x):
        return x / x.new_zeros(())

def build():
    return nn.Sequential(nn.Conv2d(3, 6, 5, 4, 2), nn.ReLU(), Pause(), nn.Conv2d(6, 7, 3, 2, 1), nn.ReLU())

def nan():
    return nn.Sequential(nn.Conv2d(3, 6, 5, 4, 2), Broken())

def flat():
    return nn.Sequential(nn.Conv2d(3, 6, 5, 4, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""
DATA = "shapes:images=40,size=32"


def write_net(folder: Path) -> str:
    """Write the network's file; returns the spec of its path, to which ":build" and so on are added."""
    (folder / "net.py").write_text(NET)
    return str(folder / "net.py")


def call(*arguments: object) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, [str(a) for a in arguments])


def environment(**more: str) -> dict[str, str]:
    """The environment of another process that runs the package under test."""
    import fastdissect

    package = str(Path(fastdissect.__file__).parent.parent)
    path = os.pathsep.join(p for p in (package, os.environ.get("PYTHONPATH", "")) if p)
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **more}


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "fastdissect", *map(str, arguments)]


def shell(*arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, without a terminal."""
    return subprocess.run(
        command(*arguments),
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        encoding="utf-8",
    )


def failure(result: Result, code: int = 1) -> str:
    """The error's one line; checks that there is no other."""
    assert result.exit_code == code, result.output
    lines = [line for line in result.stderr.splitlines() if line]
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


def same_files(one: Path, other: Path) -> None:
    """Two runs are equal: all files but run.json and the report, byte for byte."""
    found = [
        {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file() and p.name != "run.json"}
        for root in (one, other)
    ]
    for files in found:
        for path in [p for p in files if p.parts[0] == "report"]:
            del files[path]
    assert found[0]
    assert found[0] == found[1]


needs_signals = pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
