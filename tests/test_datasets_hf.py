"""`hf:NAME`: tables of the `datasets` library, from a folder and from the library's cache, and never from the network."""

from __future__ import annotations

import io
import json
import multiprocessing
import pickle
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

datasets = pytest.importorskip("datasets")

import written_hf
from PIL import Image
from scene_cases import PIXELS, SCENES

from fastdissect.datasets import check_dataset, open_dataset
from fastdissect.datasets.huggingface.dataset import HuggingFace
from fastdissect.errors import BackendError, DataError, SettingError
from fastdissect.types import LabelChannel

STREET, YARD, EMPTY = SCENES
ClassLabel, Features, Picture, Value = datasets.ClassLabel, datasets.Features, datasets.Image, datasets.Value
OBJECTS = ["background", "sky", "car", "cat"]
SMALL = {"sky": 1, "car": 2, "cat": 3, "wheel": 4}


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets.disable_progress_bars()


def small_map(scene: Any) -> Any:
    """Objects as values 1, 2, 3 of 8 bits."""
    found = np.zeros(scene.size, np.uint8)
    for region in scene.objects:
        found[region.mask(scene.size)] = SMALL[region.label]
    return found


def encoded(pixels: Any, form: str = "PNG") -> dict[str, Any]:
    file = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(file, format=form)
    return {"bytes": file.getvalue(), "path": None}


def saved(folder: Path, features: dict[str, Any], **columns: list[Any]) -> Path:
    """A table of the scenes' pictures and some columns."""
    rows = {
        "image": [encoded(scene.pixels) for scene in SCENES][: len(next(iter(columns.values())))],
        **columns,
    }
    table = datasets.Dataset.from_dict(rows, features=Features({"image": Picture(), **features}))
    table.save_to_disk(str(folder))
    return folder


def named(folder: Path, content: Any) -> str:
    path = folder / "names.json"
    path.write_text(json.dumps(content))
    return str(path)


def found_values(data: Any, index: int) -> list[int]:
    return np.unique(
        [int(v) for channel in data.read_labels(index) for v in np.unique(channel.labels)]
    ).tolist()


def test_the_scenes(tmp_path: Path) -> None:
    data = pickle.loads(pickle.dumps(open_dataset(written_hf.write(tmp_path))))
    assert [data.image_name(i) for i in range(3)] == ["street.png", "yard.png", "empty.png"]
    assert data.concepts.names == ("sky", "car", "wheel", "cat")
    report = check_dataset(data, overlays=0)
    assert report.ok
    assert dict(zip(data.concepts.names, report.concept_pixels.tolist(), strict=True)) == PIXELS
    assert [data.is_labelled(i) for i in range(3)] == [True, True, False]
    for index, scene in enumerate(SCENES):
        assert (data.read_image(index)[0] == scene.pixels).all()
    assert data.files(0) == ()
    shutil.copytree(tmp_path / "table", tmp_path / "copy")
    again = open_dataset(data.name.replace("/table", "/copy"))
    assert again.fingerprint() == data.fingerprint()


def _digests(spec_or_data: Any, queue: Any) -> None:
    queue.put([spec_or_data.read_image(i)[1] for i in range(3)])


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_processes_read_what_this_one_reads(tmp_path: Path) -> None:
    data = open_dataset(written_hf.write(tmp_path))
    here = [data.read_image(i)[1] for i in range(3)]
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_digests, args=(data, queue))
    child.start()
    assert queue.get(timeout=60) == here
    child.join()


def test_masks_of_all_kinds(tmp_path: Path) -> None:
    """PNG, the palette and 16 bits that the library keeps as TIFF, arrays, nested lists, and lists of masks."""
    maps = [small_map(scene) for scene in (STREET, YARD)]
    palette = [Image.fromarray(m).convert("P") for m in maps]
    for picture, values in zip(palette, maps, strict=True):
        picture.putpalette([value % 256 for value in range(768)])
        picture.putdata(values.ravel().tolist())
    integers = Value("int32")
    columns: dict[str, tuple[Any, list[Any]]] = {
        "png": (Picture(), maps),
        "palette": (Picture(), palette),
        "wide": (Picture(), [Image.fromarray(m.astype(np.uint16)) for m in maps]),
        "integers": (Picture(), [Image.fromarray(m.astype(np.int32)) for m in maps]),
        "nested": (datasets.Sequence(datasets.Sequence(integers)), [m.tolist() for m in maps]),
        "several": (
            datasets.Sequence(Picture()),
            [[encoded(m * (m == 1)), encoded(m * (m > 1))] for m in maps],
        ),
        "stacked": (
            datasets.Sequence(datasets.Sequence(datasets.Sequence(integers))),
            [[(m * (m == 1)).tolist(), (m * (m > 1)).tolist()] for m in maps],
        ),
    }
    features = {name: feature for name, (feature, _) in columns.items()}
    folder = saved(tmp_path / "table", features, **{name: values for name, (_, values) in columns.items()})
    names = named(tmp_path, OBJECTS)
    for name in columns:
        data = HuggingFace(str(folder), mask=name, names=names)
        for index, values in enumerate(maps):
            channels = data.read_labels(index)
            assert len(channels) == (2 if name in ("several", "stacked") else 1)
            np.testing.assert_array_equal(sum(c.labels for c in channels), values, err_msg=name)
            assert data.is_labelled(index)


def test_arrays_of_one_size(tmp_path: Path) -> None:
    values = small_map(YARD)
    folder = saved(
        tmp_path / "table",
        {"mask": datasets.Array2D((32, 32), "uint8")},
        image=[encoded(YARD.pixels)],
        mask=[values],
    )
    data = HuggingFace(str(folder), mask="mask", names=named(tmp_path, OBJECTS))
    np.testing.assert_array_equal(data.read_labels(0)[0].labels, values)


def test_classes_of_whole_images(tmp_path: Path) -> None:
    features = {
        "scene": ClassLabel(names=["field", "road"]),
        "tags": datasets.Sequence(ClassLabel(names=["a", "b", "c"])),
    }
    folder = saved(tmp_path / "table", features, scene=[1, -1, None], tags=[[2, 0, 2], [], None])
    data = open_dataset(f"hf:{folder}?label=scene")
    assert data.concepts.names == ("field", "road")
    assert data.concepts.categories == ("scene",)
    assert [data.read_labels(i) for i in range(3)] == [(LabelChannel(0, 2),), (), ()]
    both = open_dataset(f"hf:{folder}?label=scene;tags,label_category=tag")
    assert both.concepts.names == ("field", "road", "a", "b", "c")
    assert [c.labels for c in both.read_labels(0)] == [2, 5, 3]
    assert [both.is_labelled(i) for i in range(3)] == [True, False, False]
    assert open_dataset(both.name).fingerprint() == both.fingerprint() != data.fingerprint()
    assert data.image_name(1) == "00000001"  # the pictures have no file names


def test_masks_and_classes_together(tmp_path: Path) -> None:
    maps = [small_map(scene) for scene in SCENES]
    maps[1][0, 0] = 4  # the number of a class, which is no mask's value
    features = {"mask": Picture(), "scene": ClassLabel(names=["field", "road"])}
    folder = saved(tmp_path / "table", features, mask=maps, scene=[1, 0, 0])
    data = HuggingFace(str(folder), mask="mask", label="scene", names=named(tmp_path, OBJECTS))
    assert data.concepts.numbers.tolist() == [1, 2, 3, 4, 5]
    assert data.concepts.categories == ("object", "scene")
    assert data.read_labels(0)[1:] == (LabelChannel(1, 5),)
    with pytest.raises(DataError, match="column 'mask' of image '00000001' holds the value 4"):
        data.read_labels(1)


def test_names_come_from_features(tmp_path: Path) -> None:
    label = ClassLabel(names=OBJECTS)
    values = [small_map(scene) for scene in (STREET, YARD)]
    features = {
        "mask": datasets.Sequence(datasets.Sequence(label)),
        "picture": Picture(),
        "objects": datasets.Sequence({"category": label, "bbox": datasets.Sequence(Value("float32"))}),
    }
    folder = saved(
        tmp_path / "table", features, mask=[v.tolist() for v in values], picture=values,
        objects=[{"category": [], "bbox": []}] * 2,
    )  # fmt: skip
    for options in ("mask=mask", "mask=picture,names=objects.category", "mask=picture,names=mask"):
        data = open_dataset(f"hf:{folder}?{options}")
        assert data.concepts.names == ("sky", "car", "cat")
        assert found_values(data, 0) == [0, 1, 2, 3]
        assert open_dataset(data.name).fingerprint() == data.fingerprint()
    with pytest.raises(SettingError, match=r"column 'objects' holds category, bbox: .* Boxes are no masks"):
        HuggingFace(str(folder), mask="objects")
    with pytest.raises(SettingError, match=r"nothing names the values of 'picture'"):
        HuggingFace(str(folder), mask="picture")
    with pytest.raises(
        SettingError, match=r"column 'objects.bbox' is list of list of Value, which names no classes"
    ):
        HuggingFace(str(folder), mask="picture", names="objects.bbox")


def outlines(region: Any) -> list[list[float]]:
    top, end, left, right = region.box
    return [[float(v) for v in (left, top, right, top, right, end, left, end)]]


@pytest.mark.parametrize("together", [True, False])
def test_segments_in_cocos_style(tmp_path: Path, together: bool) -> None:
    """As a dict of lists and as a list of dicts; classes count from 0 here, and a wheel lies on its car."""
    pytest.importorskip("pycocotools")
    names = list(PIXELS)
    inside = {
        "segmentation": datasets.Sequence(datasets.Sequence(Value("float64"))),
        "category": ClassLabel(names=names),
        "bbox": datasets.Sequence(Value("float32")),
    }
    rows: list[Any] = []
    for scene in SCENES:
        regions = (*scene.objects, *scene.parts)
        columns = {
            "segmentation": [outlines(region) for region in regions],
            "category": [names.index(region.label) for region in regions],
            "bbox": [[0.0, 0.0, 1.0, 1.0] for _ in regions],
        }
        each = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        rows.append(columns if together else each)
    feature = datasets.Sequence(inside) if together else [inside]
    folder = saved(tmp_path / "table", {"objects": feature}, objects=rows)
    with pytest.raises(SettingError, match="mask value 0 is called 'sky'"):
        HuggingFace(str(folder), mask="objects")
    data = pickle.loads(pickle.dumps(open_dataset(f"hf:{folder}?mask=objects,zero=yes")))
    assert data.concepts.names == tuple(names)
    report = check_dataset(data, overlays=0)
    assert report.ok, report.problems
    assert dict(zip(data.concepts.names, report.concept_pixels.tolist(), strict=True)) == PIXELS
    assert [data.is_labelled(i) for i in range(3)] == [True, True, False]
    assert len(data.read_labels(0)) == 2


def test_run_lengths_and_segments_that_are_wrong(tmp_path: Path) -> None:
    features = {
        "objects": datasets.Sequence(
            {
                "segmentation": {
                    "size": datasets.Sequence(Value("int32")),
                    "counts": datasets.Sequence(Value("int64")),
                },
                "category_id": Value("int64"),
            }
        )
    }
    # column by column: four pixels from row 3 of column 0 on
    counts = [3, 4, 32 * 48 - 7]
    rows = [
        {"segmentation": [{"size": size, "counts": runs}], "category_id": [value]}
        for size, runs, value in (
            ([32, 48], counts, 7), ([32, 48], counts, 8), ([48, 32], counts, 7), ([32, 48], [3, 4], 7),
            ([32, 48], counts, None),
        )
    ]  # fmt: skip
    folder = saved(tmp_path / "table", features, image=[encoded(STREET.pixels)] * len(rows), objects=rows)
    data = HuggingFace(str(folder), mask="objects", names=named(tmp_path, {"7": "screw"}))
    (channel,) = data.read_labels(0)
    assert np.argwhere(channel.labels).tolist() == [[3, 0], [4, 0], [5, 0], [6, 0]]
    assert channel.labels.max() == 7
    for index, message in enumerate(
        (
            "holds the value 8",
            "run lengths are for the size",
            "segment 0 of column 'objects'",
            "category None",
        ),
        1,
    ):
        with pytest.raises(DataError, match=message):
            data.read_labels(index)


def test_whether_zero_is_a_label(tmp_path: Path) -> None:
    folder = saved(tmp_path / "table", {"mask": Picture()}, mask=[small_map(STREET)])
    names = named(tmp_path, {"0": "road", "1": "sky", "2": "car", "3": "cat", "255": "void"})
    with pytest.raises(SettingError, match="mask value 0 is called 'road'; say zero=yes"):
        HuggingFace(str(folder), mask="mask", names=names)
    counted = open_dataset(f"hf:{folder}?mask=mask,names={names},zero=yes")
    assert counted.concepts.names == ("road", "sky", "car", "cat")
    np.testing.assert_array_equal(counted.read_labels(0)[0].labels, small_map(STREET) + 1)
    left_out = open_dataset(f"hf:{folder}?mask=mask,names={names},zero=no")
    assert left_out.concepts.names == ("sky", "car", "cat")
    np.testing.assert_array_equal(left_out.read_labels(0)[0].labels, small_map(STREET))
    assert open_dataset(counted.name).fingerprint() == counted.fingerprint() != left_out.fingerprint()


def test_ignored_and_unknown_values(tmp_path: Path) -> None:
    values = small_map(STREET)
    values[9, :5] = 255
    folder = saved(tmp_path / "table", {"mask": Picture()}, mask=[values])
    names = named(tmp_path, OBJECTS)
    assert found_values(HuggingFace(str(folder), mask="mask", names=names), 0) == [0, 1, 2, 3]
    with pytest.raises(DataError, match="holds the value 255"):
        HuggingFace(str(folder), mask="mask", names=names, ignore=9).read_labels(0)
    names = named(tmp_path, {"2": "car", "3": "cat", "255": "edge"})
    assert found_values(HuggingFace(str(folder), mask="mask", names=names, ignore=1), 0) == [0, 2, 3, 255]


def test_tables_of_names(tmp_path: Path) -> None:
    folder = saved(tmp_path / "table", {"mask": Picture()}, mask=[small_map(STREET)])
    path = tmp_path / "names.csv"
    path.write_text("number,name,category\n1,sky,object\n2,car,object\n3,cat,animal\n")
    data = HuggingFace(str(folder), mask="mask", names=str(path))
    assert data.concepts.categories == ("object", "animal")
    assert [channel.category for channel in data.read_labels(0)] == [0, 1]
    path.write_text("number,name\n1,sky\n2,car\n3,cat\n")
    assert HuggingFace(str(folder), mask="mask", names=str(path), category="thing").concepts.categories == (
        "thing",
    )
    for text, message in (
        ("number,name\n1,sky\n1,car\n", "line 3: number 1 is listed twice"),
        ("number,name\nx,sky\n", "number is 'x'"),
        ("number,name\n", "expected 1 to 65,535 labels; got 0"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=message):
            HuggingFace(str(folder), mask="mask", names=str(path))
    for content, message in (
        ({"a": "sky"}, "names no values"), ([1], "names no values"), ({}, "names no values"),
        ({"1": "sky", "01": "car"}, "names a value twice"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=message):
            HuggingFace(str(folder), mask="mask", names=named(tmp_path, content))
    (tmp_path / "names.json").write_text("{")
    with pytest.raises(DataError, match="no valid JSON"):
        HuggingFace(str(folder), mask="mask", names=str(tmp_path / "names.json"))


def test_splits(tmp_path: Path) -> None:
    table = written_hf.table(tmp_path / "pictures")
    datasets.DatasetDict(train=table, test=table.select([1])).save_to_disk(str(tmp_path / "table"))
    names = named(tmp_path, written_hf.NAMES)
    spec = f"hf:{tmp_path / 'table'}?mask=objects,names={names}"
    assert [open_dataset(f"{spec},split={split}").image_name(0) for split in ("train", "test")] == [
        "street.png",
        "yard.png",
    ]
    with pytest.raises(SettingError, match="split is none; expected one of train, test"):
        open_dataset(spec)
    with pytest.raises(SettingError, match=r"split is 'tets'; .*; nearest: test"):
        open_dataset(f"{spec},split=tets")
    datasets.DatasetDict(test=table).save_to_disk(str(tmp_path / "alone"))
    assert len(open_dataset(f"hf:{tmp_path / 'alone'}?mask=objects,names={names}")) == 3


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A cache that has someone/tiny alone, and no network: a list of what was tried."""
    written_hf.table(tmp_path / "pictures").to_parquet(str(tmp_path / "t.parquet"))
    cache = tmp_path / "cache"
    datasets.load_dataset(
        "parquet", data_files={"validation": str(tmp_path / "t.parquet")}, cache_dir=str(cache)
    )
    made = next(path for path in (cache / "parquet").glob("*/*/*") if path.is_dir())
    kept = cache / "someone___tiny" / "default" / "0.0.0" / "abc"
    shutil.copytree(made, kept)
    (kept / "parquet-validation.arrow").rename(kept / "tiny-validation.arrow")
    about = json.loads((kept / "dataset_info.json").read_text())
    (kept / "dataset_info.json").write_text(
        json.dumps(about | {"dataset_name": "tiny", "config_name": "default"})
    )
    shutil.rmtree(cache / "parquet")
    tried: list[Any] = []

    def connect(*arguments: Any) -> None:
        tried.append(arguments)
        raise OSError("no network in this test")

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)
    return tried


def test_the_librarys_cache_and_never_the_network(tmp_path: Path, hub: list[Any]) -> None:
    names = named(tmp_path, written_hf.NAMES)
    before = datasets.config.HF_HUB_OFFLINE
    data = open_dataset(f"hf:someone/tiny?mask=objects,names={names}")
    assert [data.image_name(i) for i in range(3)] == ["street.png", "yard.png", "empty.png"]
    assert data.name.startswith("hf:someone/tiny?")
    assert data.files(0)[0] == tmp_path / "pictures" / "street.png"  # the table only names it
    for name in ("someone/other", "squad"):
        with pytest.raises(DataError, match=rf"hf:{name} is not to be had .* download=yes allows it"):
            open_dataset(f"hf:{name}?mask=objects,names={names}")
    assert hub == []
    assert before == datasets.config.HF_HUB_OFFLINE
    with pytest.raises(SettingError, match="split is 'train'; expected one of validation"):
        open_dataset(f"hf:someone/tiny?split=train,mask=objects,names={names}")


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    for name in (tmp_path / "nowhere", "./nowhere", "a/b/c"):
        with pytest.raises(DataError, match=r"there is no folder .*save_to_disk made"):
            open_dataset(f"hf:{name}?mask=mask")
    with pytest.raises(
        DataError, match=r"cannot be opened .* expected a folder that Dataset.save_to_disk made"
    ):
        open_dataset(f"hf:{tmp_path}?mask=mask")
    folder = saved(
        tmp_path / "table", {"mask": Picture(), "n": Value("int64")}, mask=[small_map(STREET)], n=[1]
    )
    for options, message in (
        (
            "image=image",
            r"expected mask=COLUMN or label=COLUMN, of image \(Image\), mask \(Image\), n \(Value\)",
        ),
        ("mask=maks", r"no column 'maks' for masks; .*nearest: mask"),
        ("mask=n", "column 'n' holds no label maps"),
        ("image=n,mask=mask", "column 'n' holds no images"),
        ("label=n", "column 'n' is Value, which names no classes"),
        ("config=x,mask=mask", "config is 'x'; expected none with a folder"),
        ("label=mask", "column 'mask' is Image, which names no classes"),
        ("split=train,mask=mask", "is the split None; got split=train"),
    ):
        with pytest.raises(SettingError, match=message):
            open_dataset(f"hf:{folder}?{options}")


def test_rows_that_are_wrong(tmp_path: Path) -> None:
    names = named(tmp_path, OBJECTS)
    colours, jpeg = encoded(np.full((32, 48, 3), 9, np.uint8)), encoded(STREET.pixels, "JPEG")
    cut = encoded(Image.fromarray(small_map(STREET).astype(np.uint16)), "TIFF")
    cut["bytes"] = cut["bytes"][:600]
    turned = encoded(small_map(STREET).T)
    floats = encoded(Image.fromarray(np.zeros((32, 48), np.float32)), "TIFF")
    masks = [colours, jpeg, cut, turned, floats]
    folder = saved(tmp_path / "table", {"mask": Picture()}, image=[encoded(STREET.pixels)] * 5, mask=masks)
    data = HuggingFace(str(folder), mask="mask", names=names)
    for index, message in enumerate((
        "pixels with blue != 0", "is not an image: expected PNG", "truncated|damaged",
        r"column 'mask' of image '00000003' is 48 x 32 and its image 32 x 48", "TIFF of pixel mode F",
    )):  # fmt: skip
        with pytest.raises(DataError, match=message):
            data.read_labels(index)
    folder = saved(tmp_path / "gaps", {"mask": Picture()}, image=[None], mask=[small_map(STREET)])
    with pytest.raises(DataError, match="image '00000000' is empty in its table"):
        HuggingFace(str(folder), mask="mask", names=names).read_image(0)


def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(BackendError, match=r"expected datasets, .* pip install 'fastdissect\[hf\]'"):
        open_dataset(f"hf:{tmp_path}?mask=mask")
