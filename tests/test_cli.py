"""The command line as a whole: help, versions, parsing, what reaches a terminal, how it fails."""

from __future__ import annotations

import logging
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import typer
from cli_cases import call, command, environment, failure, shell
from hypothesis import given
from hypothesis import strategies as st

import fastdissect
from fastdissect.cli import app, main, options
from fastdissect.cli.terminal import plain
from fastdissect.errors import OutputError

COMMANDS = (
    "demo",
    "run",
    "merge",
    "report",
    "show",
    "export",
    "chance",
    "rotate",
    "sweep",
    "compare",
    "explain",
    "ablate",
    "net2vec",
    "factorize",
    "hierarchy",
    "semantics",
    "bench",
    "layers",
    "data",
    "data formats",
    "data check",
    "data convert",
    "data merge",
    "data cache",
    "data broden",
    "data write",
    "doctor",
    "version",
)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_an_example(name: str) -> None:
    for flag in ("--help", "-h"):
        result = call(*name.split(), flag)
        assert result.exit_code == 0
        assert "Example" in result.output
        assert f"fastdissect {name}" in " ".join(result.output.split())


def test_help_lists_exactly_the_commands_there_are() -> None:
    listed = {name.split()[0] for name in COMMANDS}
    assert {c.name or c.callback.__name__ for c in app.registered_commands} | {"data"} == listed
    output = call("--help").output
    assert all(name in output for name in listed)


def test_without_arguments_comes_the_help() -> None:
    assert "doctor" in call().output
    assert "check" in call("data").output


@pytest.mark.parametrize("arguments", [["--version"], ["version"]])
def test_version(arguments: list[str]) -> None:
    result = call(*arguments)
    assert (result.exit_code, result.output) == (0, f"fastdissect {fastdissect.__version__}\n")


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from fastdissect.cli import main; main(['--help']); main(['run', '--help']);"
        "print({'torch', 'pandas', 'numba', 'jinja2', 'PIL'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True
    )
    assert result.stdout.strip().endswith("set()")


@pytest.mark.parametrize("arguments", [["nonsense"], ["run"], ["run", "a", "b", "--nonsense"], ["show"]])
def test_a_wrong_command_line_ends_with_2(arguments: list[str]) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_main_returns_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert main(["show", "no such folder"]) == 1
    assert main(["nonsense"]) == 2
    assert "error: no such folder is no folder" in capsys.readouterr().err


def test_an_error_nobody_expected_says_where_to_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def explode(_path: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr("fastdissect.results.load", explode)
    assert main(["show", "out"]) == 1
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert "ZeroDivisionError: planted" in shown
    assert f"fastdissect {fastdissect.__version__}" in shown.splitlines()[-1]
    assert "report" in shown.splitlines()[-1]


@pytest.mark.parametrize("flag", ["-v", "--traceback"])
def test_the_origin_of_an_error_on_request(flag: str) -> None:
    assert "Traceback" not in call("show", "nowhere").stderr
    assert "Traceback" in call("show", "nowhere", flag).stderr


def test_an_error_is_one_harmless_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: object) -> None:
        raise OutputError("first\n  second \x1b[31m [red]third[/red] :smile:")

    monkeypatch.setattr("fastdissect.results.load", refuse)
    assert failure(call("show", "out")) == "error: first second \\x1b[31m [red]third[/red] :smile:"


def test_ctrl_c_in_any_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_path: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fastdissect.results.load", interrupt)
    result = call("show", "out")
    assert (result.exit_code, result.stderr) == (130, "interrupted\n")


@pytest.mark.skipif(sys.platform == "win32", reason="needs head")
def test_a_reader_that_goes_away_is_no_error() -> None:
    line = " ".join(f"'{part}'" for part in command("doctor"))
    result = subprocess.run(
        ["bash", "-c", f"{line} | head -c 1"], env=environment(), capture_output=True, text=True, check=False
    )
    assert (result.stdout, result.stderr) == ("f", "")


def test_text_that_the_terminal_cannot_encode(tmp_path: Path) -> None:
    result = shell("show", tmp_path / "né😀", PYTHONIOENCODING="ascii")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "n\\xe9\\U0001f600" in result.stderr


def test_verbose_shows_the_log(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("fastdissect")
    for flags, level in (([], logging.WARNING), (["-v"], logging.INFO), (["-vv"], logging.DEBUG)):
        call("show", "nowhere", *flags)
        assert log.level == level
        assert len(log.handlers) == 1  # a second command does not say everything twice


@given(st.text(st.characters(exclude_categories=[]), max_size=30))
def test_plain_text_steers_no_terminal(text: str) -> None:
    shown = plain(text)
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in shown)
    assert plain(shown) == shown
    shown.encode()


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=30))
def test_plain_text_keeps_what_is_plain(text: str) -> None:
    assert plain(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("1", 1),
        ("123456789", 123456789),
        ("1kB", 1000),
        ("500MB", 500_000_000),
        ("4GB", 4 * 10**9),
        ("4 gb", 4 * 10**9),
        ("4G", 4 * 10**9),
        ("1GiB", 2**30),
        ("1.5MiB", 3 << 19),
        ("2TB", 2 * 10**12),
    ],
)
def test_memory_sizes(text: str | None, expected: int | None) -> None:
    assert options.parse_memory(text) == expected


@pytest.mark.parametrize(
    "text", ["", "GB", "4XB", "-1GB", "0", "0.1", "1e9", "4 G B", "٣GB", "nan", "9" * 30]
)
def test_memory_sizes_that_are_none(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="4GB, 500MB, 1GiB"):
        options.parse_memory(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("prefix=1,grid=14x16", (1, (14, 16))),
        ("grid=14x16, prefix=0", (0, (14, 16))),
        ("prefix=5", (5, None)),
        ("grid=7x7", (None, (7, 7))),
    ],
)
def test_tokens(text: str | None, expected: object) -> None:
    assert options.parse_tokens(text) == expected


@pytest.mark.parametrize(
    "text", ["", "prefix", "prefix=", "grid=14", "prefix=1,", "prefix=1;grid=2x2", "prefix=1,prefix=2", "a=1"]
)
def test_tokens_that_are_none(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="prefix=1,grid=14x14"):
        options.parse_tokens(text)


def test_layers_split_at_commas_and_repeat() -> None:
    assert options.parse_layers(["a.b, c", "**.relu", ","]) == ["a.b", "c", "**.relu"]


def test_settings_read_numbers_and_truths() -> None:
    found = options.parse_settings(["cut=0.1", "cut_inclusive=TRUE", "readout=linear", "quantile=0.1"])
    assert found == {"cut": 0.1, "cut_inclusive": True, "readout": "linear", "quantile": "0.1"}
    for wrong in (["cut"], ["=1"], ["cut=1", "cut=2"]):
        with pytest.raises(typer.BadParameter, match="item=value"):
            options.parse_settings(wrong)


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, "0.0 s"), (59.94, "59.9 s"), (60, "1 min 0 s"), (3600, "1 h 0 min")]
)
def test_lengths_of_time(seconds: float, expected: str) -> None:
    from fastdissect.cli.summary import seconds as written

    assert written(seconds) == expected


def test_doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTDISSECT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache" / "planes").mkdir(parents=True)
    (tmp_path / "cache" / "planes" / "x").write_bytes(bytes(2500))
    (tmp_path / "cupy.py").write_text("raise RuntimeError('no driver\x1b[2J')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)  # the one that may be installed here
    result = call("doctor")
    assert result.exit_code == 0
    rows = {line.split()[0]: line for line in result.output.splitlines()}
    assert "reference" in rows["backends"]
    assert "the best of this machine" in rows["selected"]
    assert rows["self-test"].endswith("right")
    assert "cache: 2.5 kB in 1 files" in rows["cache"]
    assert np.__version__ in rows["numpy"]
    assert "installed but fails: no driver\\x1b[2J" in rows["cupy"]
    assert "This machine can dissect." in result.output


def test_doctor_gives_advice_for_a_broken_library(tmp_path: Path) -> None:
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    code = "import sys; sys.path.insert(0, sys.argv[1]); from fastdissect.cli import main; main(['doctor'])"
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    line = next(line for line in result.stdout.splitlines() if line.startswith("torchvision"))
    assert "installed but fails" in line
    assert "built for another torch" in line
    assert "This machine can dissect." in result.stdout


def test_doctor_fails_where_nothing_can_be_dissected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTDISSECT_BACKEND", "abacus")
    assert "FASTDISSECT_BACKEND=abacus is not available" in failure(call("doctor"))


@pytest.mark.parametrize("command", ["show", "report", "chance", "explain", "ablate"])
def test_a_path_that_cannot_be_is_one_line(command: str) -> None:
    result = call(command, "x" * 400)
    assert result.exit_code in (1, 2)
    assert "this is a bug" not in result.output + result.stderr
    assert "Traceback" not in result.output + result.stderr
