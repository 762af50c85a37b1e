"""`data convert`, `data merge` and `data broden`."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from cli_cases import call, failure

from fastdissect.datasets import Broden, Folder, Shapes, open_dataset, write_broden
from fastdissect.datasets import broden_totals as totals
from fastdissect.datasets.broden_totals import check_broden, content_fingerprint

DATA = "shapes:images=7,size=32"


def test_convert_both_ways(tmp_path: Path) -> None:
    folder, broden = tmp_path / "f", tmp_path / "b"
    result = call("data", "convert", DATA, folder, "--to", "folder")
    assert result.exit_code == 0, result.output
    assert f"7 images; open them as folder:{folder}" in result.output
    assert call("data", "convert", f"folder:{folder}", broden, "--to", "broden").exit_code == 0
    with (broden / "index.csv").open(newline="") as file:
        assert {(r["sh"], r["sw"]) for r in csv.DictReader(file)} == {("16", "16")}
    assert Folder(folder).image_size() == (32, 32)
    written = call("data", "write", DATA, tmp_path / "w")
    assert written.exit_code == 0
    assert Broden(tmp_path / "w").fingerprint() == Broden(broden).fingerprint()


def test_convert_refuses(tmp_path: Path) -> None:
    out = tmp_path / "x"
    assert "exists already" in failure(call("data", "convert", DATA, tmp_path, "--to", "folder"))
    assert "has no folder images/" in failure(call("data", "convert", "folder:nope", out, "--to", "broden"))
    for wrong in (["--to", "brodn"], ["--to", "folder", "--mask-scale", "0.5"], []):
        assert call("data", "convert", DATA, out, *wrong).exit_code == 2
    assert not out.exists()


@pytest.fixture
def sets(tmp_path: Path) -> list[str]:
    write_broden(Shapes(images=9, size=32, seed=1), tmp_path / "one")
    return [f"broden:{tmp_path / 'one'}", "shapes:images=30,size=32,seed=2"]


def test_merge_writes_and_accounts(tmp_path: Path, sets: list[str]) -> None:
    out = tmp_path / "all"
    result = call("data", "merge", *sets, out, "--to", "broden", "--recipe", "broden", "--top", 2)
    assert result.exit_code == 0, result.output
    data = Broden(out)
    assert len(data) == 39
    assert f"39 images; open them as broden:{out}" in result.output
    with (out / "merge.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 61
    kept = [r for r in rows if not r["dropped"]]
    assert [r["name"] for r in kept] == list(data.concepts.names)
    assert [int(r["number"]) for r in kept] == data.concepts.numbers.tolist()
    assert all(int(r["images"]) >= 10 and float(r["coverage"]) >= 0.5 for r in kept)
    assert all(int(r["images"]) < 10 or float(r["coverage"]) < 0.5 for r in rows if r["dropped"])
    images = [int(r["images"]) for r in kept]
    assert images == sorted(images, reverse=True)
    assert f"{len(kept):,} labels stay" in result.output
    assert f"and {61 - len(kept) - 2} more" in result.output
    assert {"train", "val"} >= set(data.splits)


def test_a_recipe_may_be_changed(tmp_path: Path, sets: list[str]) -> None:
    result = call(
        "data", "merge", *sets, tmp_path / "f", "--to", "folder", "--recipe", "broden", "--min-images", 0,
        "--min-coverage", 0, "--by-category",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert len(Folder(tmp_path / "f").concepts) == 61
    assert "Left out" not in result.output


def test_merge_to_json(tmp_path: Path, sets: list[str]) -> None:
    table = tmp_path / "synonyms.csv"
    table.write_text("name,synonym\nblob,disk\nblob,square\nno,such label\n")
    out = tmp_path / "all.json"
    result = call(
        "data", "merge", *sets, out, "--to", "json", "--synonyms", table, "--category", "material=object"
    )
    assert result.exit_code == 0, result.output
    data = open_dataset(f"merged:{out}")
    assert "material" not in data.concepts.categories
    assert "blob" in data.concepts.names
    assert len(data.concepts) == 60
    assert "blob <- disk, square, disk, square" in result.output
    assert "Given synonyms that name no label: such label" in result.output
    assert (tmp_path / "all.csv").exists()
    assert call("data", "check", f"merged:{out}").exit_code == 0


def test_a_dry_run_writes_nothing(tmp_path: Path, sets: list[str]) -> None:
    before = sorted(tmp_path.iterdir())
    for arguments in (sets, [*sets, tmp_path / "out"]):
        result = call("data", "merge", *arguments, "--dry-run", "--min-images", 5)
        assert result.exit_code == 0, result.output
        assert "39 images" in result.output
    assert sorted(tmp_path.iterdir()) == before


def test_sets_without_a_common_category(tmp_path: Path) -> None:
    homes = []
    for name, category in (("a", "object"), ("b", "thing")):
        home = tmp_path / name
        call("data", "convert", "shapes:images=1,size=16", home, "--to", "folder")
        for path in (home / "masks").iterdir():
            for mask in path.rglob("*.png"):
                mask.unlink()
        (home / "image_labels.csv").unlink(missing_ok=True)
        (home / "labels.csv").write_text(f"number,name,category\n1,cat,{category}\n")
        homes.append(f"folder:{home}")
    result = call("data", "merge", *homes, "--dry-run")
    assert result.exit_code == 0, result.output
    assert "No category is in two sets; --category OLD=NEW" in result.output
    assert (
        "No category" not in call("data", "merge", *homes, "--dry-run", "--category", "thing=object").output
    )


def test_merge_refuses(tmp_path: Path, sets: list[str]) -> None:
    out = tmp_path / "out"

    def merge(*arguments: object):
        return call("data", "merge", *arguments)

    assert "exists already" in failure(merge(*sets, tmp_path, "--to", "broden"))
    (tmp_path / "x.csv").write_text("mine")
    assert "x.csv exists already" in failure(merge(*sets, tmp_path / "x.json", "--to", "json"))
    assert "unknown data set" in failure(merge("brodn:x", sets[0], out, "--to", "broden"))
    assert "has no folder images/" in failure(merge("folder:nope", sets[0], out, "--to", "broden"))
    assert "given twice" in failure(merge(sets[0], sets[0], out, "--to", "folder"))
    assert "none of 61 labels stays" in failure(merge(*sets, out, "--to", "folder", "--min-images", 99))
    assert "no data set has the category" in failure(merge(*sets, out, "--to", "folder", "--category", "a=b"))
    assert "unknown recipe" in failure(merge(*sets, out, "--to", "folder", "--recipe", "ade"))
    assert "is missing" in failure(merge(*sets, out, "--to", "folder", "--synonyms", "nope.csv"))
    for wrong in (
        [*sets, out],
        [*sets, out, "--to", "x"],
        [*sets, "--to", "folder"],
        [out, "--to", "folder"],
        [*sets, out, "--to", "json"],
        [*sets, out, "--to", "folder", "--mask-scale", "0.5"],
        [*sets, out, "--to", "folder", "--category", "object"],
        [*sets, out, "--to", "folder", "--category", "a=b", "--category", "a=c"],
        [*sets, out, "--to", "folder", "--min-images", "-1"],
    ):
        assert merge(*wrong).exit_code == 2, wrong
    assert not out.exists()


# data broden


def test_how_to_get_broden() -> None:
    result = call("data", "broden")
    assert result.exit_code == 0
    for part in ("dlbroden.sh", "broden1_224.zip", "_227.zip", "_384.zip", "63,305", "1,197", "No checksum"):
        assert part in result.output
    assert call("data", "broden", "--fingerprint").exit_code == 2


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A set in Broden's format that passes for the released one."""
    home = write_broden(Shapes(images=40, size=32), tmp_path / "broden1_32")
    data = Broden(home)
    monkeypatch.setattr(totals, "IMAGES", len(data))
    monkeypatch.setattr(totals, "LABELS", len(data.concepts))
    monkeypatch.setattr(totals, "CATEGORIES", data.concepts.categories)
    monkeypatch.setattr(totals, "SIZES", (32,))
    return home


def test_a_whole_broden_passes(home: Path, tmp_path: Path) -> None:
    found = check_broden(home)
    assert (found.ok, found.differences, found.missing_count) == (True, (), 0)
    assert len(found.hints) == 5  # eleven colours are remembered right
    result = call("data", "broden", home, "--fingerprint")
    assert result.exit_code == 0, result.output
    assert found.fingerprint in result.output
    assert f"Fingerprint of tables and files: {content_fingerprint(home)}" in result.output
    copy = home.rename(tmp_path / "elsewhere")
    assert content_fingerprint(copy) in result.output
    mask = Broden(copy).files(0)[-1]
    mask.write_bytes(mask.read_bytes() + b"\0")
    assert content_fingerprint(copy) not in result.output
    assert check_broden(copy).fingerprint == found.fingerprint


def test_missing_files_are_counted(home: Path) -> None:
    gone = [path for index in range(3) for path in Broden(home).files(index)]
    for path in gone:
        path.unlink()
    result = call("data", "broden", home, "--fingerprint")
    assert result.exit_code == 1
    assert f"{len(gone)} files are missing" in result.output
    assert gone[0].name in result.output
    assert "tables and files" not in result.output


def test_what_differs_is_named(tmp_path: Path) -> None:
    home = write_broden(Shapes(images=3, size=32), tmp_path / "set")
    result = call("data", "broden", home)
    assert result.exit_code == 1
    for part in (
        "3 images; Broden 1.1 has 63,305",
        "61 labels",
        "32 x 32 with masks 16 x 16",
        "not Broden 1.1",
    ):
        assert part in result.output
    assert "Not as remembered" not in result.output
    assert f"There is one in {home}" in failure(call("data", "broden", tmp_path))
    assert "holds no index.csv" in failure(call("data", "broden", tmp_path / "nope"))
    (home / "c_color.csv").unlink()
    assert "c_color.csv" in failure(call("data", "broden", home))
