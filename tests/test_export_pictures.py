"""MILAN's exemplars and dissect's rows of pictures, against the run's own masks and the images themselves."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from report_cases import Photos, make_concepts, make_dissection, plant

from fastdissect.errors import OutputError, SettingError
from fastdissect.exporting import export
from fastdissect.reports.pictures import masked_tile, tile_mask
from fastdissect.results import Dissection

IMAGES = 30


@pytest.fixture
def data() -> Photos:
    return Photos(IMAGES)


@pytest.fixture
def run(data: Photos) -> Dissection:
    layers = [plant("layer1", 9, IMAGES, make_concepts()), plant("layer2", 12, IMAGES, make_concepts())]
    return make_dissection(layers, data)


def numbers(path: Path, kind: type) -> list[list[float]]:
    with path.open(encoding="ascii", newline="") as file:
        return [[kind(cell) for cell in row] for row in csv.reader(file)]


def test_milans_arrays_have_its_shapes_and_types(run: Dissection, data: Photos, tmp_path: Path) -> None:
    written = export(run, tmp_path / "m", "milan", dataset=data)
    assert written == [
        tmp_path / "m" / layer / name
        for layer in ("layer1", "layer2")
        for name in ("images.npy", "masks.npy", "ids.csv", "activations.csv")
    ]
    assert sorted(p.name for p in (tmp_path / "m").iterdir() if p.is_dir()) == ["layer1", "layer2"]
    for name, units in (("layer1", 9), ("layer2", 12)):
        images = np.load(tmp_path / "m" / name / "images.npy", allow_pickle=False)
        masks = np.load(tmp_path / "m" / name / "masks.npy", allow_pickle=False)
        assert (images.shape, images.dtype) == ((units, 15, 3, 224, 224), np.uint8)
        assert (masks.shape, masks.dtype) == ((units, 15, 1, 224, 224), np.uint8)
        assert set(np.unique(masks)) == {0, 1}


@pytest.mark.parametrize("size", [(32, 32), (16, 16), (20, 28)])
def test_milans_files_are_the_runs_top_images_and_masks(
    run: Dissection, data: Photos, tmp_path: Path, size: tuple[int, int]
) -> None:
    export(run, tmp_path / "m", "milan", dataset=data, top=4, size=size, layers=["layer2"])
    layer, folder = run["layer2"], tmp_path / "m" / "layer2"
    images, masks = np.load(folder / "images.npy"), np.load(folder / "masks.npy")
    ids = numbers(folder / "ids.csv", int)
    assert ids == layer.top_images(4).tolist()
    best = numbers(folder / "activations.csv", float)
    for unit, row in enumerate(ids):
        for place, image in enumerate(row):
            assert np.float32(best[unit][place]) == layer.maxima[image, unit]
            mask = layer.unit_mask(unit, image, size)
            assert np.array_equal(masks[unit, place, 0], mask)
            pixels = np.moveaxis(images[unit, place], 0, -1)
            expected = Image.fromarray(Photos(IMAGES).read_image(image)[0])
            expected = expected.resize((size[1], size[0]), Image.Resampling.BICUBIC, reducing_gap=3.0)
            assert np.array_equal(pixels, np.asarray(expected))
    assert 0 < masks.mean() < 1


def test_every_image_is_decoded_once(run: Dissection, data: Photos, tmp_path: Path) -> None:
    export(run, tmp_path / "m", "milan", dataset=data, top=6, size=(16, 16))
    assert len(data.reads) == len(set(data.reads)) > 10


def test_masks_of_other_conventions_are_those_that_were_counted(data: Photos, tmp_path: Path) -> None:
    layer = plant("l", 5, IMAGES, make_concepts(), mode="half-pixel-zero")
    run = make_dissection([layer], data)
    export(run, tmp_path / "m", "milan", dataset=data, top=2, size=(16, 16))  # the masks' own size
    masks = np.load(tmp_path / "m" / "l" / "masks.npy")
    for unit, row in enumerate(layer.top_images(2)):
        for place, image in enumerate(row):
            assert np.array_equal(masks[unit, place, 0], layer.unit_mask(unit, int(image)))


def test_dissects_rows_show_the_top_images(run: Dissection, data: Photos, tmp_path: Path) -> None:
    written = export(run, tmp_path / "d", "dissect", dataset=data, layers=["layer1"])
    report = json.loads((tmp_path / "d" / "layer1" / "report.json").read_text(encoding="utf-8"))
    shown = [tmp_path / "d" / "layer1" / unit["image"] for unit in report["units"]]
    assert written[2:] == shown
    layer = run["layer1"]
    for unit, path in enumerate(shown):
        row = np.asarray(Image.open(path)).astype(int)
        assert row.shape == (100, 5 * 100 + 4 * 5, 3)
        for place, image in enumerate(layer.top_images(5)[unit].tolist()):
            pixels = Image.fromarray(Photos(IMAGES).read_image(image)[0])
            pixels = np.asarray(pixels.resize((100, 100), Image.Resampling.BICUBIC, reducing_gap=3.0))
            expected = masked_tile(pixels, tile_mask(layer, unit, image, (100, 100))).astype(int)
            got = row[:, place * 105 : place * 105 + 100]
            assert np.abs(got - expected).mean() < 6  # JPEG
        assert (row[10:90, 101:104] > 230).all()  # between two images


@pytest.mark.parametrize("name", ["milan", "dissect"])
def test_progress_counts_every_unit(run: Dissection, data: Photos, tmp_path: Path, name: str) -> None:
    seen = []
    export(
        *(run, tmp_path / "x", name),
        dataset=data,
        top=1,
        size=(8, 8),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(n, 21) for n in range(1, 22)]


@pytest.mark.parametrize(
    ("words", "more"),
    [
        ("expected 1 to 30 images a unit.*got 31", {"top": 31}),
        ("expected 1 to 30 images a unit.*got 0", {"top": 0}),
        ("1 to 65,536 pixels a side; got 0 x 8", {"size": (0, 8)}),
        ("1 to 65,536 pixels a side; got 8 x 70000", {"size": (8, 70000)}),
        ("expected the run's 30 images; got photos.* with 29", {"dataset": Photos(29)}),
    ],
)
@pytest.mark.parametrize("name", ["milan", "dissect"])
def test_what_cannot_be_drawn_is_refused(
    run: Dissection, data: Photos, tmp_path: Path, name: str, words: str, more: dict[str, object]
) -> None:
    with pytest.raises(SettingError, match=words):
        export(run, tmp_path / "x", name, **{"dataset": data, "size": (8, 8), **more})
    assert list(tmp_path.iterdir()) == []


def test_another_data_set_is_refused(run: Dissection, tmp_path: Path) -> None:
    class Others(Photos):
        def image_name(self, index: int) -> str:
            return f"other/{index}"

    with pytest.raises(SettingError, match=r"expected image 0 to be .*images/0000.*got 'other/0'"):
        export(run, tmp_path / "x", "milan", dataset=Others(IMAGES))
    assert list(tmp_path.iterdir()) == []


def test_a_row_that_no_jpeg_holds_is_refused(run: Dissection, data: Photos, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="JPEG of 65,500 pixels a side; got 8 x 89,998"):
        export(run, tmp_path / "x", "dissect", dataset=data, top=3, size=(8, 29_996))


@pytest.mark.parametrize(
    ("name", "advice"),
    [("milan", "or choose other layers"), ("dissect", "leave the pictures out with --data none")],
)
def test_layers_without_activations_or_thresholds_are_refused(
    data: Photos, tmp_path: Path, name: str, advice: str
) -> None:
    for words, more in (
        ("layer 'l': pictures need the activations.*--no-activations", {"keep": False}),
        ("layer 'l': its units have no masks: 100 values a unit are too few", {"seen": 100}),
    ):
        run = make_dissection([plant("l", 5, IMAGES, make_concepts(), **more)], data)
        with pytest.raises(SettingError, match=f"{words}.*{advice}"):
            export(run, tmp_path / "x", name, dataset=data)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_on_the_way_names_the_file(
    run: Dissection, data: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match=r"npy cannot be written: the disk is full"):
        export(run, tmp_path / "x", "milan", dataset=data, top=1, size=(8, 8))
    assert list(tmp_path.iterdir()) == []
