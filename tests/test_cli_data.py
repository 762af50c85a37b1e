"""`data check` and `data write`."""

from __future__ import annotations

from pathlib import Path

from cli_cases import call, failure
from PIL import Image

from fastdissect.datasets import check_dataset, open_dataset


def test_check_counts_and_draws(tmp_path: Path) -> None:
    sheet = tmp_path / "masks.png"
    result = call("data", "check", "shapes:images=9,size=32", "--overlay", sheet, "--top", 5)
    assert result.exit_code == 0, result.output
    expected = check_dataset(open_dataset("shapes:images=9,size=32"))
    rows = [[part.strip() for part in line.split("│")] for line in result.output.splitlines() if "│" in line]
    categories = expected.concepts.categories
    for q, category in enumerate(categories):
        row = next(row for row in rows if row[1] == category)
        assert row[3:5] == [f"{expected.category_images[q]:,}", f"{expected.category_pixels[q]:,}"]
    labels = rows[len(categories) :]
    assert len(labels) == 5
    images = [int(row[4]) for row in labels]
    assert images == sorted(expected.concept_images.tolist(), reverse=True)[:5]
    assert "No problems" in result.output
    with Image.open(sheet) as image:
        assert image.format == "PNG"


def test_check_of_some_images(tmp_path: Path) -> None:
    result = call("data", "check", "shapes:images=9,size=32", "--images", 4)
    assert "9 images, 4 of them checked" in result.output
    assert "32 x 32 (4)" in result.output
    assert "images a second, one process" in result.output
    assert "masks of another size" not in result.output


def test_problems_end_with_1(tmp_path: Path) -> None:
    home = tmp_path / "broden"
    assert call("data", "write", "shapes:images=6,size=32", home).exit_code == 0
    images = sorted((home / "images").rglob("*.png"))
    broken = next(p for p in images if p.stem.count("_") == 1)
    broken.write_bytes(broken.read_bytes()[:60])
    result = call("data", "check", f"broden:{home}")
    assert result.exit_code == 1
    assert "masks of another size than their image: 5 images, such as 16 x 16 of 32 x 32 (5)" in result.output
    assert "1 images with problems" in result.output
    assert broken.name in result.output
    assert "Traceback" not in result.output


def test_write_and_read_back(tmp_path: Path) -> None:
    result = call("data", "write", "shapes:images=7,size=32", tmp_path / "b", "--mask-scale", "1")
    assert result.exit_code == 0
    assert f"broden:{tmp_path / 'b'}" in result.output
    assert len(open_dataset(f"broden:{tmp_path / 'b'}")) == 7
    assert "exists already" in failure(call("data", "write", "shapes:images=7,size=32", tmp_path / "b"))
    assert "mask_scale" in failure(
        call("data", "write", "shapes:images=7", tmp_path / "c", "--mask-scale", "2")
    )


def test_a_data_set_that_is_none(tmp_path: Path) -> None:
    assert "has no folder images/" in failure(call("data", "check", f"folder:{tmp_path / 'nope'}"))
    assert "expected broden:PATH" in failure(call("data", "check", "cocoa:x"))
    assert f"folder:{tmp_path}" in failure(call("data", "check", tmp_path))


def test_the_home_of_nobody_is_one_line() -> None:
    result = call("data", "broden", "~no-such-user-here/broden")
    assert result.exit_code == 1
    assert "begins with ~ and the name of nobody" in " ".join(result.output.split())


def test_formats_are_listed_with_their_options() -> None:
    lines = call("data", "formats").output.splitlines()
    assert {"broden", "coco", "folder", "hf", "segmenter", "shapes"} <= {
        line.partition(":")[0].partition("[")[0] for line in lines
    }
    assert any("images=FOLDER" in line for line in lines)
