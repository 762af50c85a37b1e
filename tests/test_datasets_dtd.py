from __future__ import annotations

from pathlib import Path

import pytest
from written_dtd import WORDS, write
from written_voc import whole, write_text

from fastdissect.datasets.opening import open_dataset
from fastdissect.errors import DataError, SettingError

JOINT = "labels/labels_joint_anno.txt"


def test_words_are_labels_of_whole_images(tmp_path: Path) -> None:
    data = open_dataset(write(tmp_path))
    assert data.concepts.names == ("banded", "grid", "striped")
    assert data.concepts.numbers.tolist() == [1, 2, 3]
    assert data.concepts.categories == ("texture",)
    assert [data.image_name(i) for i in range(3)] == [
        "banded/street.png",
        "grid/yard.png",
        "banded/empty.png",
    ]
    assert [whole(data, i) for i in range(3)] == [words.split() for words in WORDS.values()]
    assert [data.is_labelled(i) for i in range(3)] == [True, True, False]
    assert data.read_image(0)[0].shape == (32, 48, 3)
    assert [len(data.files(i)) for i in range(3)] == [1, 1, 1]
    assert open_dataset(f"dtd:{tmp_path / 'dtd'}").fingerprint() == data.fingerprint()


def test_splits_keep_their_order_and_the_numbers(tmp_path: Path) -> None:
    spec = write(tmp_path)
    data = open_dataset(f"{spec}?split=val1")
    assert [data.image_name(i) for i in range(len(data))] == ["grid/yard.png", "banded/street.png"]
    assert data.concepts.names == open_dataset(spec).concepts.names
    assert whole(data, 1) == ["banded", "striped"]
    with pytest.raises(SettingError, match="no split 'train1'; there are val1"):
        open_dataset(f"{spec}?split=train1")


def test_the_fingerprint_holds_the_words(tmp_path: Path) -> None:
    spec = write(tmp_path)
    before, path = open_dataset(spec).fingerprint(), tmp_path / "dtd" / JOINT
    path.write_text(path.read_text().replace("grid banded", "grid striped"))
    assert open_dataset(spec).fingerprint() != before


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["banded/street.png banded", "banded/street.png striped"],
            "line 2: image 'banded/street.png' is listed twice",
        ),
        (["../street.png banded"], "refused"),
        (["banded/lost.png banded"], "image 'banded/lost.png' of DTD is missing"),
        (["lost/lost.png banded"], "image 'lost/lost.png' of DTD is missing"),
        (["banded/street.png"], "names no texture"),
        ([], "names no texture"),
    ],
)
def test_bad_tables(tmp_path: Path, lines: list[str], message: str) -> None:
    spec = write(tmp_path)
    write_text(tmp_path / "dtd" / JOINT, lines)
    with pytest.raises(DataError, match=message):
        open_dataset(spec)


def test_bad_folders(tmp_path: Path) -> None:
    spec = write(tmp_path)
    write_text(tmp_path / "dtd" / "labels" / "test1.txt", ["grid/other.png"])
    with pytest.raises(
        DataError, match=r"test1.txt, line 1: image 'grid/other.png' is not in labels_joint_anno"
    ):
        open_dataset(f"{spec}?split=test1")
    (tmp_path / "dtd" / JOINT).unlink()
    with pytest.raises(DataError, match=r"labels_joint_anno\.txt is missing"):
        open_dataset(spec)
    with pytest.raises(DataError, match="none of the folders labels, dtd/labels"):
        open_dataset(f"dtd:{tmp_path / 'nowhere'}")


def test_a_table_that_was_cut_is_seen_by_the_folders(tmp_path: Path) -> None:
    spec = write(tmp_path)
    table = tmp_path / "dtd" / JOINT
    (tmp_path / "dtd" / "images" / "banded" / ".directory").write_text("as in the release")
    assert len(open_dataset(spec)) == 3
    table.write_text(table.read_text().splitlines()[0])
    with pytest.raises(
        DataError, match=r"lacks 2 of the 3 images .* the first banded/empty\.png\. Restore the table"
    ):
        open_dataset(spec)
