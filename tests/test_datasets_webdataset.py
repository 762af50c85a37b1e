"""`webdataset:PATH`: samples by position in tar files, whole ones and damaged ones."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import written_webdataset
from PIL import Image
from scene_cases import PIXELS, SCENES
from written_webdataset import CSV, label_map, members, png, write_tar

from fastdissect.datasets import check_dataset, open_dataset
from fastdissect.datasets.webdataset.dataset import WebDataset
from fastdissect.errors import DataError
from fastdissect.types import LabelChannel

STREET, YARD, EMPTY = SCENES
PICTURE = png(STREET.pixels)


def jpeg() -> bytes:
    file = io.BytesIO()
    Image.fromarray(STREET.pixels).save(file, format="JPEG")
    return file.getvalue()


def one(folder: Path, files: dict[str, bytes], **options: Any) -> WebDataset:
    """The set of one tar."""
    write_tar(folder / "data.tar", files)
    return WebDataset(folder / "data.tar", **options)


def test_the_scenes(tmp_path: Path) -> None:
    data = pickle.loads(pickle.dumps(open_dataset(written_webdataset.write(tmp_path))))
    names = ["data-000000/a/street.png", "data-000001/a/yard.png", "data-000001/a/empty.png"]
    assert [data.image_name(i) for i in range(3)] == names
    assert data.concepts.names == ("sky", "car", "wheel", "cat")
    assert data.concepts.categories == ("object", "part")
    report = check_dataset(data, overlays=0)
    assert report.ok
    assert dict(zip(data.concepts.names, report.concept_pixels.tolist(), strict=True)) == PIXELS
    assert [data.is_labelled(i) for i in range(3)] == [True, True, False]
    assert [channel.category for channel in data.read_labels(0)] == [0, 1]
    for index, scene in enumerate(SCENES):
        assert (data.read_image(index)[0] == scene.pixels).all()
    assert data.files(2) == (tmp_path / "data-000001.tar",)
    assert data.image_size() == STREET.size


def test_a_folder_of_tars_a_tar_and_braces(tmp_path: Path) -> None:
    braces = open_dataset(written_webdataset.write(tmp_path))
    folder = WebDataset(tmp_path)
    assert [folder.image_name(i) for i in range(3)] == [braces.image_name(i) for i in range(3)]
    assert folder.fingerprint() == braces.fingerprint()
    assert len(WebDataset(tmp_path / "data-00000{0..1}.tar")) == 3
    assert len(WebDataset(tmp_path / "data-0{0..0}000{0..1}.tar")) == 3
    assert [WebDataset(tmp_path / "data-000000.tar").image_name(0)] == ["data-000000/a/street.png"]
    shutil.copytree(tmp_path, tmp_path / "moved" / "here")
    assert WebDataset(tmp_path / "moved" / "here").fingerprint() == folder.fingerprint()
    for wrong, message in (
        ("data-{000000..000002}.tar", r"there is no file .*data-000002.tar"),
        ("data-{3..1}.tar", r"\{3\.\.1\} in .* counts no shards"),
        ("nothing.tar", "there is no file"),
    ):
        with pytest.raises(DataError, match=message):
            WebDataset(tmp_path / wrong)


def test_a_png_is_the_mask_beside_another_image(tmp_path: Path) -> None:
    whole = png(label_map(STREET, STREET.objects))
    data = one(tmp_path, {"labels.csv": CSV, "1.jpg": jpeg(), "1.png": whole})
    assert data.image_name(0) == "data/1.jpg"
    (channel,) = data.read_labels(0)
    np.testing.assert_array_equal(channel.labels, label_map(STREET, STREET.objects))
    data = one(tmp_path, {"labels.csv": CSV, "1.png": PICTURE, "1.seg.png": whole, "1.depth.png": b""})
    assert not data.is_labelled(0)
    data = one(tmp_path, {"labels.csv": CSV, "1.png": PICTURE, "1.seg.png": whole}, mask="seg.png")
    assert data.read_labels(0)[0].labels.max() == 300
    assert open_dataset(data.name).fingerprint() == data.fingerprint()


def test_one_map_of_two_categories_is_two_channels(tmp_path: Path) -> None:
    both = label_map(STREET, STREET.objects)
    wheel = STREET.parts[0].mask(STREET.size)
    both[wheel] = 4
    data = one(tmp_path, {"labels.csv": CSV, "1.png": PICTURE, "1.mask.png": png(both)})
    objects, parts = data.read_labels(0)
    np.testing.assert_array_equal(objects.labels, np.where(wheel, 0, both))
    np.testing.assert_array_equal(parts.labels, np.where(wheel, 4, 0))
    blank = {"labels.csv": CSV, "1.png": PICTURE, "1.mask.png": png(0 * both)}
    assert one(tmp_path, blank).is_labelled(0)
    assert len(one(tmp_path, blank).read_labels(0)) == 1


def test_values_without_label(tmp_path: Path) -> None:
    values = np.zeros(STREET.size, np.uint8)
    values[:4], values[4:6] = 2, 255
    files = {"labels.csv": CSV, "1.png": PICTURE, "1.mask.png": png(values)}
    assert np.unique(one(tmp_path, files).read_labels(0)[0].labels).tolist() == [0, 2]
    with pytest.raises(DataError, match=r"mask 'mask.png' of image 'data/1.png' holds the value 255"):
        one(tmp_path, files, ignore=254).read_labels(0)
    listed = files | {"labels.csv": CSV + b"255,dog,object\n"}
    assert np.unique(one(tmp_path, listed).read_labels(0)[0].labels).tolist() == [0, 2, 255]


def test_classes_count_from_zero(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("tench\ngoldfish\n\n")
    files = {"1.jpg": jpeg(), "1.cls": b"1\n", "2.jpg": jpeg(), "2.cls": b"tench", "3.jpg": jpeg()}
    data = one(tmp_path, files, classes=str(tmp_path / "classes.txt"))
    assert data.concepts.names == ("tench", "goldfish")
    assert data.concepts.categories == ("scene",)
    assert [data.read_labels(i) for i in range(3)] == [(LabelChannel(0, 2),), (LabelChannel(0, 1),), ()]
    assert open_dataset(data.name).fingerprint() == data.fingerprint()
    whole = png(label_map(STREET, STREET.objects))
    data = one(tmp_path, files | {"labels.csv": CSV, "1.png": whole}, classes=str(tmp_path / "classes.txt"))
    assert data.concepts.numbers.tolist() == [1, 2, 4, 300, 301, 302]
    assert data.read_labels(0)[1:] == (LabelChannel(2, 302),)
    files["1.cls"] = b"2"
    with pytest.raises(DataError, match=r"image 'data/1.jpg' is of class '2'"):
        one(tmp_path, files, classes=str(tmp_path / "classes.txt")).read_labels(0)
    values = np.full(STREET.size, 301, np.uint16)  # a class is no mask's value
    files = {"labels.csv": CSV, "1.jpg": jpeg(), "1.png": png(values)}
    with pytest.raises(DataError, match="holds the value 301"):
        one(tmp_path, files, classes=str(tmp_path / "classes.txt")).read_labels(0)


def test_classes_by_the_numbers_and_names_of_the_labels(tmp_path: Path) -> None:
    files = {"labels.csv": CSV, "1.jpg": jpeg(), "1.cls": b"300", "2.jpg": jpeg(), "2.cls": b"wheel"}
    data = one(tmp_path, files)
    assert [data.read_labels(i) for i in range(2)] == [(LabelChannel(0, 300),), (LabelChannel(1, 4),)]
    for wrong, message in (
        (b"0", "class '0'.* classes=FILE"),
        (b"dog", "class 'dog'"),
        (b"\xff", "no UTF-8"),
    ):
        with pytest.raises(DataError, match=message):
            one(tmp_path, files | {"1.cls": wrong}).read_labels(0)


def test_json_is_read_where_a_field_is_named(tmp_path: Path) -> None:
    def labels_of(content: Any, field: str = "") -> Any:
        files = {"labels.csv": CSV, "1.jpg": jpeg(), "1.json": json.dumps(content).encode()}
        return one(tmp_path, files, json=field).read_labels(0)

    assert labels_of({"label": 1}) == ()
    assert labels_of({"label": 1}, "label") == (LabelChannel(0, 1),)
    assert labels_of({"a": {"b": ["wheel", 2, "wheel"]}}, "a.b") == (LabelChannel(0, 2), LabelChannel(1, 4))
    assert labels_of({"label": None}, "label") == ()
    for content, message in (
        ({"a": 1}, "no field 'label'"),
        ({"label": 1.5}, "class 1.5"),
        ({"label": True}, "class True"),
    ):
        with pytest.raises(DataError, match=message):
            labels_of(content, "label")
    data = one(tmp_path, {"labels.csv": CSV, "1.jpg": jpeg(), "1.json": b"{"}, json="label")
    with pytest.raises(DataError, match="its member json is no valid JSON"):
        data.is_labelled(0)


def test_every_cut_is_seen_at_opening(tmp_path: Path) -> None:
    """All bytes up to the first block of zeros are needed; what follows is padding."""
    write_tar(tmp_path / "whole.tar", {"labels.csv": CSV} | members(STREET))
    data = (tmp_path / "whole.tar").read_bytes()
    with tarfile.open(tmp_path / "whole.tar") as tar:
        last = tar.getmembers()[-1]
    needed = last.offset_data + -(-last.size // 512) * 512 + 512
    cut = tmp_path / "cut.tar"
    for length in sorted({*range(0, needed, 101), needed - 1, last.offset, last.offset_data, needed - 512}):
        cut.write_bytes(data[:length])
        with pytest.raises(DataError, match=r"cut\.tar (was cut short|is no tar)"):
            WebDataset(cut)
    cut.write_bytes(data[: last.offset_data + 7])
    with pytest.raises(DataError, match=r"cut.tar (was cut short within|.*cut short behind) 'a/street"):
        WebDataset(cut)
    cut.write_bytes(data[:needed])
    assert len(WebDataset(cut)) == 1


def test_tars_that_cannot_be_read_by_position(tmp_path: Path) -> None:
    write_tar(tmp_path / "whole.tar", {"labels.csv": CSV} | members(STREET))
    data = (tmp_path / "whole.tar").read_bytes()
    zipped = tmp_path / "zipped.tar"
    zipped.write_bytes(gzip.compress(data))
    with pytest.raises(DataError, match=r"zipped.tar is compressed \(gzip\).* Unpack it"):
        WebDataset(zipped)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.tar.gz").write_bytes(gzip.compress(data))
    with pytest.raises(DataError, match=r"holds no tar; .*a.tar.gz is compressed: unpack it"):
        WebDataset(tmp_path / "folder")
    joined = tmp_path / "joined.tar"
    joined.write_bytes(data + data)
    with pytest.raises(DataError, match="holds something that is no member behind"):
        WebDataset(joined)
    (tmp_path / "text.tar").write_text("no tar at all\n" * 100)
    with pytest.raises(DataError, match=r"text.tar is no tar"):
        WebDataset(tmp_path / "text.tar")
    with tarfile.open(tmp_path / "link.tar", "w") as tar:
        entry = tarfile.TarInfo("1.jpg")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(entry)
    with pytest.raises(DataError, match=r"the member '1.jpg' is no plain file"):
        WebDataset(tmp_path / "link.tar")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"1.txt": b"", "1.cls": b"1"}, r"the sample '1' has no image \(cls\); expected 1.jpg"),
        ({"1.jpg": b"", "1.webp": b""}, "the sample '1' has the images jpg, webp"),
        ({"1.jpg": b"", "1.JPG": b""}, r"the member '1.JPG' comes twice"),
        ({"readme": b"text", ".hidden": b""}, "holds no sample"),
        ({"1.jpg": b""}, "nothing names the labels; expected the option labels=FILE.csv"),
        (
            {"a/labels.csv": CSV, "b/labels.csv": CSV + b"9,dog,object\n", "1.jpg": b""},
            "b/labels.csv differs from",
        ),
        (
            {"labels.csv": b"number,name\n1,cat\n", "1.jpg": b""},
            r"data.tar:labels.csv has no column 'category'",
        ),
        ({"labels.csv": CSV + b"4,dog,object\n", "1.jpg": b""}, "label number 4 is listed twice"),
    ],
)
def test_samples_that_are_wrong(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    with pytest.raises(DataError, match=message):
        one(tmp_path, files)


@pytest.mark.parametrize("text", ["", "\n", "a\n\nb\n"])
def test_a_list_of_classes_with_gaps(tmp_path: Path, text: str) -> None:
    (tmp_path / "classes.txt").write_text(text)
    with pytest.raises(DataError, match=r"classes.txt is empty or has an empty line"):
        one(tmp_path, {"1.jpg": jpeg()}, classes=str(tmp_path / "classes.txt"))


def test_masks_of_another_size(tmp_path: Path) -> None:
    half = label_map(STREET, STREET.objects)[::2, ::2]
    files = {"labels.csv": CSV, "1.jpg": jpeg()}
    (channel,) = one(tmp_path, files | {"1.png": png(half)}).read_labels(0)
    assert channel.labels.shape == (16, 24)
    with pytest.raises(DataError, match=r"mask 'png' of image 'data/1.jpg' is 16 x 20 and its image 32 x 48"):
        one(tmp_path, files | {"1.png": png(half[:, :20])}).read_labels(0)


def test_a_shard_that_shrinks_after_opening(tmp_path: Path) -> None:
    data = one(tmp_path, {"labels.csv": CSV} | members(STREET))
    path = tmp_path / "data.tar"
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(DataError, match=r"data.tar was cut within 'a/street.png' since it was opened"):
        data.read_image(0)
    path.unlink()
    with pytest.raises(DataError, match=r"data.tar cannot be read"):
        data.read_image(0)


def test_long_names_and_dots_in_folders(tmp_path: Path) -> None:
    key = "v1.0/" + "x" * 150 + "/0001"  # beyond the 100 characters of a tar's header
    data = one(
        tmp_path, {"labels.csv": CSV, f"./{key}.jpg": jpeg(), f"./{key}.png": png(label_map(STREET, ()))}
    )
    assert data.image_name(0) == f"data/{key}.jpg"
    assert data.is_labelled(0)


def test_what_the_library_itself_writes(tmp_path: Path) -> None:
    library = pytest.importorskip("webdataset")
    with library.TarWriter(str(tmp_path / "data.tar")) as sink:
        for number, scene in enumerate(SCENES):
            mask = label_map(scene, scene.objects).astype(np.uint16)
            sink.write(
                {
                    "__key__": f"{number:06d}",
                    "png": scene.pixels,
                    "mask.png": png(mask),
                    "cls": number % 2 + 1,
                }
            )
    (tmp_path / "labels.csv").write_bytes(CSV)
    data = WebDataset(tmp_path / "data.tar", labels=str(tmp_path / "labels.csv"))
    assert len(data) == 3
    for index, scene in enumerate(SCENES):
        assert (data.read_image(index)[0] == scene.pixels).all()
        channel, *whole = data.read_labels(index)
        np.testing.assert_array_equal(channel.labels, label_map(scene, scene.objects))
        assert whole == [LabelChannel(0, index % 2 + 1)]
