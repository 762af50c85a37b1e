"""`labelme:PATH`: labelme's JSON files, its shapes drawn, and files that are not what they should be."""

from __future__ import annotations

import json
import logging
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import written_labelme
from PIL import Image, ImageDraw
from scene_cases import PIXELS, SCENES
from written_labelme import annotation, png

from fastdissect.datasets import check_dataset, open_dataset
from fastdissect.datasets.labelme.dataset import Labelme
from fastdissect.datasets.labelme.shapes import Shape, draw_shape
from fastdissect.errors import DataError, SettingError

STREET, YARD, _ = SCENES


def one(folder: Path, **changes: Any) -> Path:
    """A folder with the street alone, its JSON file changed."""
    STREET.save(folder / "street.png")
    (folder / "street.json").write_text(json.dumps(annotation(STREET, **changes)))
    return folder


def shape(kind: str, *points: tuple[float, float], label: str = "cat", **more: Any) -> dict[str, Any]:
    return {"label": label, "points": [list(p) for p in points], "shape_type": kind, **more}


def drawn(kind: str, *points: tuple[float, float], size: tuple[int, int] = (32, 48)) -> Any:
    return draw_shape(Shape("a.json, shape 0", "cat", kind, points, ""), size, max_pixels=10**6).whole(size)


def test_the_scenes(tmp_path: Path) -> None:
    data = pickle.loads(pickle.dumps(open_dataset(written_labelme.write(tmp_path))))
    assert [data.image_name(i) for i in range(3)] == ["empty.png", "street.png", "yard.png"]
    assert data.concepts.names == ("car", "cat", "sky", "wheel")
    report = check_dataset(data, overlays=0)
    assert report.ok
    assert dict(zip(data.concepts.names, report.concept_pixels.tolist(), strict=True)) == PIXELS
    assert [data.is_labelled(i) for i in range(3)] == [False, True, True]
    assert data.files(1) == (tmp_path / "street.png", tmp_path / "street.json")
    assert data.files(0) == (tmp_path / "empty.png",)


def test_shapes_that_overlap_stay(tmp_path: Path) -> None:
    open_dataset(written_labelme.write(tmp_path))
    channels = Labelme(tmp_path).read_labels(1)
    assert len(channels) == 2
    car, wheel = 1, 4
    corner = [int(c.labels[28, 10]) for c in channels]
    assert sorted(corner) == [car, wheel]


def test_outlines_by_hand() -> None:
    assert drawn("polygon", (0, 0), (3, 0), (3, 1), (0, 1)).sum() == 8
    rectangle = drawn("rectangle", (10.0, 9.0), (2.0, 4.0))
    assert rectangle.sum() == 9 * 6
    assert rectangle[4:10, 2:11].all()
    # a right triangle with legs of 8 pixels and its outline: 1 + 2 + ... + 8
    assert drawn("polygon", (0, 0), (0, 7), (7, 7)).sum() == 36


def test_a_box_changes_nothing() -> None:
    """Shapes are drawn in their box; Pillow draws the same pixels in the whole image, wherever they lie."""
    rng = np.random.default_rng(0)
    height, width = 60, 90
    for number in range(300):
        kind = ("polygon", "rectangle", "circle", "line", "linestrip", "point")[number % 6]
        count = {"polygon": 5, "linestrip": 4, "point": 1}.get(kind, 2)
        points = rng.uniform((-1, -1), (width + 1, height + 1), (count, 2))
        if number % 3 == 0:
            points = points.round()
        canvas = Image.new("1", (width, height))
        draw = ImageDraw.Draw(canvas)
        flat = [tuple(point) for point in points.tolist()]
        (x, y), (u, v) = flat[0], flat[-1]
        if kind == "polygon":
            draw.polygon(flat, fill=1, outline=1)
        elif kind == "rectangle":
            draw.rectangle((min(x, u), min(y, v), max(x, u), max(y, v)), fill=1, outline=1)
        elif kind in ("line", "linestrip"):
            draw.line(flat, fill=1, width=10)
        else:
            radius = 5 if kind == "point" else math.dist((x, y), (u, v))
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=1, outline=1)
        found = drawn(kind, *flat, size=(height, width))
        np.testing.assert_array_equal(found, np.array(canvas), err_msg=f"{kind} {flat}")


@pytest.mark.parametrize("radius", [3, 6, 10])
def test_a_circle_is_round(radius: int) -> None:
    circle = drawn("circle", (20, 15), (20, 15 + radius))
    rows, columns = np.nonzero(circle)
    assert (rows.min(), rows.max()) == (15 - radius, 15 + radius)
    assert (columns.min(), columns.max()) == (20 - radius, 20 + radius)
    box = circle[15 - radius : 16 + radius, 20 - radius : 21 + radius]
    for turned in (box[::-1], box[:, ::-1], box.T):
        np.testing.assert_array_equal(box, turned)
    assert abs(int(box.sum()) - math.pi * (radius + 0.5) ** 2) < 2 * (radius + 1)
    rim_outside = drawn("circle", (2, 15), (2, 30))
    assert rim_outside[15, 0]


def test_lines_have_no_area_until_it_is_said(tmp_path: Path) -> None:
    shapes = [
        shape("polygon", (0, 0), (3, 0), (3, 1), (0, 1)),
        shape("line", (5, 15), (40, 15), label="wire"),
        shape("linestrip", (5, 20), (9, 20), (40, 20), label="wire"),
        shape("point", (24, 16), label="screw"),
    ]
    one(tmp_path, shapes=shapes)
    with pytest.raises(
        DataError, match=r"street.json, shape 1 \('wire'\) is a line, .* lines=draw .* lines=skip"
    ):
        Labelme(tmp_path)
    with pytest.raises(SettingError, match="lines is 'thick'"):
        Labelme(tmp_path, lines="thick")
    skipped = Labelme(tmp_path, lines="skip")
    assert skipped.concepts.names == ("cat",)
    data = open_dataset(f"labelme:{tmp_path}?lines=draw")
    assert data.concepts.names == ("cat", "screw", "wire")
    assert open_dataset(data.name).fingerprint() == data.fingerprint() != skipped.fingerprint()
    found = [channel.labels for channel in data.read_labels(0)]
    wire = np.any([labels == 3 for labels in found], 0)
    rows = np.flatnonzero(wire[:, 20])
    assert len(rows) == 15  # two lines, each 10 pixels wide, 5 apart
    screw = np.any([labels == 2 for labels in found], 0)
    assert screw[16, 19:30].all()
    assert not screw[16, 18]


def test_a_mask_lies_in_its_box(tmp_path: Path) -> None:
    picture = np.array([[True, False, True], [False, True, False]])
    one(tmp_path, shapes=[shape("mask", (5, 9), (7, 10), mask=png(picture))])
    (channel,) = Labelme(tmp_path).read_labels(0)
    np.testing.assert_array_equal(channel.labels[9:11, 5:8], picture)
    assert channel.labels.sum() == 3
    one(tmp_path, shapes=[shape("mask", (5, 9), (8, 10), mask=png(picture))])
    with pytest.raises(DataError, match="its mask is 2 x 3 and its box 2 x 4"):
        Labelme(tmp_path).read_labels(0)


def test_background_and_ignored_shapes_are_none(tmp_path: Path) -> None:
    rest = [shape("rectangle", (0, 0), (9, 9), label=label) for label in ("_background_", "__ignore__")]
    one(tmp_path, shapes=[*rest, shape("rectangle", (2, 2), (3, 3))])
    data = Labelme(tmp_path)
    assert data.concepts.names == ("cat",)
    assert [int(channel.labels.sum()) for channel in data.read_labels(0)] == [4]
    (tmp_path / "other.json").write_text(json.dumps(annotation(YARD, shapes=rest)))
    YARD.save(tmp_path / "yard.png")
    assert [Labelme(tmp_path).is_labelled(i) for i in range(2)] == [True, False]
    assert Labelme(tmp_path).read_labels(1) == ()


def test_the_image_is_found(tmp_path: Path) -> None:
    (tmp_path / "json").mkdir()
    STREET.save(tmp_path / "images" / "a.png")
    path = tmp_path / "json" / "b.json"
    path.write_text(json.dumps(annotation(STREET, imagePath="..\\images\\a.png")))
    data = Labelme(tmp_path)
    assert [data.image_name(i) for i in range(len(data))] == ["images/a.png"]
    assert data.is_labelled(0)
    with pytest.raises(DataError, match=r"b.json has no image: .* leaves the folder .* holds both"):
        Labelme(tmp_path / "json")
    STREET.save(tmp_path / "json" / "b.PNG")
    assert Labelme(tmp_path / "json").image_name(0) == "b.PNG"
    STREET.save(tmp_path / "json" / "b.jpg")
    with pytest.raises(DataError, match=r"b.json has several images beside it \(b.jpg, b.PNG\)"):
        Labelme(tmp_path / "json")


def test_the_image_within_the_file(tmp_path: Path) -> None:
    one(tmp_path, imagePath="photo.png", imageData=png(STREET.pixels))
    (tmp_path / "street.png").unlink()
    data = Labelme(tmp_path)
    assert data.image_name(0) == "street.png"
    assert data.files(0) == (tmp_path / "street.json",)
    assert (data.read_image(0)[0] == STREET.pixels).all()
    assert data.image_size() == STREET.size
    assert sum(int((channel.labels > 0).sum()) for channel in data.read_labels(0)) == 384 + 2 * 256 + 64
    one(tmp_path, imageData="no base64!")
    (tmp_path / "street.png").unlink()
    with pytest.raises(DataError, match=r"street.json: imageData is no base64"):
        Labelme(tmp_path).read_image(0)


def test_two_files_of_one_image(tmp_path: Path) -> None:
    one(tmp_path)
    (tmp_path / "b.json").write_text(json.dumps(annotation(STREET)))
    with pytest.raises(DataError, match=r"b.json and street.json both name the image street.png"):
        Labelme(tmp_path)


def test_a_drawing_of_another_size(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one(tmp_path)
    Image.fromarray(STREET.pixels).resize((96, 64)).save(tmp_path / "street.png")
    data = Labelme(tmp_path)
    with caplog.at_level(logging.WARNING, "fastdissect"):
        assert data.read_labels(0)[0].labels.shape == (32, 48)
        data.read_labels(0)
    assert caplog.text.count("resized by nearest neighbour") == 1
    Image.fromarray(STREET.pixels).resize((48, 48)).save(tmp_path / "street.png")
    with pytest.raises(DataError, match=r"the drawing of street.json is 32 x 48 and its image 48 x 48"):
        Labelme(tmp_path).read_labels(0)
    one(tmp_path, imageHeight=None, imageWidth=None)
    assert Labelme(tmp_path).read_labels(0)[0].labels.shape == (32, 48)


SQUARE = ((2.0, 2.0), (9.0, 9.0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shapes": None}, "street.json has no list of shapes"),
        ({"shapes": [5]}, "street.json, shape 0 has no label"),
        ({"shapes": [shape("rectangle", *SQUARE, label="")]}, "shape 0 has no label"),
        ({"shapes": [shape("blob", *SQUARE)]}, "the shape_type 'blob'; expected polygon"),
        ({"shapes": [shape("rectangle", (1, 1))]}, r"\('cat'\) is a rectangle with .*; expected 2 points"),
        ({"shapes": [shape("polygon", *SQUARE)]}, "expected at least 3 points"),
        ({"shapes": [shape("circle", (1, 1), (math.nan, 2))]}, "expected 2 points"),
        (
            {"shapes": [{"label": "cat", "shape_type": "rectangle", "points": [[1], [2, 3]]}]},
            "expected 2 points",
        ),
        ({"shapes": [shape("mask", *SQUARE)]}, "is a mask without its picture"),
        ({"imageHeight": "32"}, "imageHeight and imageWidth are '32' and 48"),
        ({"imageHeight": 0}, "imageHeight and imageWidth are 0 and 48"),
        ({"imageData": 5}, "imageData is 5; expected text or null"),
        ({"shapes": []}, "has no JSON file of labelme with a label"),
    ],
)
def test_a_file_that_labelme_did_not_write(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Labelme(one(tmp_path, **changes))


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (
            [shape("polygon", (0, 0), (5, 0), (60, 5))],
            r"street.json, shape 0 .*\(60, 5\), outside its image of 32 x 48",
        ),
        ([shape("rectangle", (-3, 0), (5, 5))], r"\(-3, 0\), outside"),
        ([shape("rectangle", (48.6, 3), (49, 5))], "covers no pixel"),
        ([shape("mask", *SQUARE, mask="%%")], "its mask is no base64"),
        ([shape("mask", *SQUARE, mask=png(np.zeros((8, 8), np.bool_)))], "covers no pixel"),
        ([shape("mask", *SQUARE, mask="AAAA")], "the mask of street.json, shape 0 .* is not an image"),
    ],
)
def test_a_shape_that_does_not_fit(tmp_path: Path, shapes: list[Any], message: str) -> None:
    data = Labelme(one(tmp_path, shapes=shapes))
    with pytest.raises(DataError, match=message):
        data.read_labels(0)


def test_no_json_and_no_folder(tmp_path: Path) -> None:
    one(tmp_path)
    (tmp_path / "street.json").write_text("{")
    with pytest.raises(DataError, match=r"street.json is no valid JSON"):
        Labelme(tmp_path)
    with pytest.raises(DataError, match="there is no folder"):
        Labelme(tmp_path / "nowhere")
    (tmp_path / "street.json").unlink()
    with pytest.raises(DataError, match="has no JSON file of labelme with a label"):
        Labelme(tmp_path)


def test_a_label_that_is_new_since_opening(tmp_path: Path) -> None:
    data = Labelme(one(tmp_path))
    one(tmp_path, shapes=[shape("rectangle", *SQUARE, label="dog")])
    with pytest.raises(DataError, match="label 'dog' was not there when the set was opened"):
        data.read_labels(0)
