from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastdissect.datasets import Broden
from fastdissect.errors import DataError, SettingError

COLUMNS = "image,split,ih,iw,sh,sw,color,object,part,material,scene,texture"


def save_mask(path: Path, labels: np.ndarray) -> None:
    rgb = np.zeros((*labels.shape, 3), np.uint8)
    rgb[:, :, 0], rgb[:, :, 1] = labels % 256, labels // 256
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rgb).save(path)


OBJECT = np.array([[0, 2, 2], [300, 300, 2]])
PART_1 = np.array([[0, 5, 5], [0, 5, 5]])
PART_2 = np.array([[0, 0, 6], [0, 0, 6]])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four images of 4 x 6 with masks of 2 x 3: several PNGs, mixed cells, a literal 0, no label at all."""
    home = tmp_path / "broden1_6"
    images = home / "images"
    for number in range(4):
        (images / "a").mkdir(parents=True, exist_ok=True)
        pixels = np.full((4, 6, 3), 40 * number, np.uint8)
        Image.fromarray(pixels).save(images / "a" / f"{number}.png")
    save_mask(images / "a" / "0_object.png", OBJECT)
    save_mask(images / "a" / "0_part_1.png", PART_1)
    save_mask(images / "a" / "0_part_2.png", PART_2)
    save_mask(images / "a" / "1_material.png", OBJECT * 0)
    (home / "index.csv").write_text(
        f"{COLUMNS}\n"
        "a/0.png,train,4,6,2,3,,a/0_object.png,a/0_part_1.png;a/0_part_2.png;2,,9,\n"
        "a/1.png,val,4,6,2,3,,,,a/1_material.png;300,0,11;12\n"
        "a/2.png,train,4,6,2,3,,,,,,\n"
        "a/3.png,val,4,6,2,3,1,0,,,9,12\n"
    )
    (home / "category.csv").write_text(
        "name,first,last,count,frequency\n"
        "scene,9,9,1,2\nobject,2,300,2,2\npart,2,6,3,1\nmaterial,300,300,1,1\ntexture,11,12,2,2\ncolor,1,1,1,1\n"
    )
    (home / "label.csv").write_text(
        "number,name,category,frequency,coverage,syns\n"
        '12,"<b>dots</b>, ""big""",texture(2),2,2.0,\n'
        "1,red-c,color(1),1,1.0,\n"
        "2,glass,object(1);part(1),2,1.5,\n"
        "5,leg,part(1),1,0.6,\n6,foot,part(1),1,.3,\n"
        "9,beach-s,scene(2),2,2,\n11,striped,texture(1),1,1,\n"
        "300,wood,material(1);object(1),2,1.3,\n"
    )
    for category, rows in {
        "color": "1,1,red-c,1,1.0",
        "object": "1,2,glass,1,0.5\n2,300,wood,1,0.3",
        "part": "1,2,glass,1,0.5\n2,5,leg,1,0.6\n3,6,foot,1,0.3",
        "material": "1,300,wood,1,1e-05",
        "scene": "1,9,beach-s,2,2",
        "texture": "1,12,dots,2,2.0\n2,11,striped,1,1.0",
    }.items():
        (home / f"c_{category}.csv").write_text(f"code,number,name,frequency,coverage\n{rows}\n")
    return home


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_every_image_is_kept_in_order(folder: Path) -> None:
    data = Broden(folder)
    assert [data.image_name(i) for i in range(len(data))] == ["a/0.png", "a/1.png", "a/2.png", "a/3.png"]
    assert data.splits == ("train", "val", "train", "val")
    assert data.read_labels(2) == ()
    assert data.image_size() == (4, 6)
    pixels, digest = data.read_image(3)
    assert pixels.shape == (4, 6, 3)
    assert (pixels == 120).all()
    assert len(digest) == 32


def test_a_split_is_the_matching_rows(folder: Path) -> None:
    data = Broden(folder, split="val")
    assert [data.image_name(i) for i in range(len(data))] == ["a/1.png", "a/3.png"]
    assert data.splits == ("val", "val")
    assert data.read_labels(1)[0] == (0, 9)
    assert data.fingerprint() != Broden(folder).fingerprint()
    with pytest.raises(SettingError, match="there are train, val; nearest: val"):
        Broden(folder, split="vla")


def test_vocabulary_and_primary_categories(folder: Path) -> None:
    concepts = Broden(folder).concepts
    assert concepts.categories == ("scene", "object", "part", "material", "texture", "color")
    assert concepts.numbers.tolist() == [1, 2, 5, 6, 9, 11, 12, 300]
    assert concepts.names[6] == '<b>dots</b>, "big"'  # plain text, as it stands
    primary = {n: concepts.categories[c] for n, c in zip(concepts.numbers, concepts.category, strict=True)}
    assert primary[2] == "part"  # 0.5 in object and in part: the later one
    assert primary[300] == "object"  # 0.3 against 0.00001, however small numbers are written
    assert primary[9] == "scene"


def test_channels_come_in_the_order_of_categories(folder: Path) -> None:
    data = Broden(folder)
    names = data.concepts.categories
    channels = data.read_labels(0)
    assert [names[c.category] for c in channels] == ["scene", "object", "part", "part", "part"]
    assert channels[0].labels == 9
    assert np.array_equal(channels[1].labels, OBJECT)  # 300 is R + 256 G
    assert np.array_equal(channels[2].labels, PART_1)
    assert np.array_equal(channels[3].labels, PART_2)
    assert channels[4].labels == 2


def test_literal_zero_is_no_channel_and_an_empty_mask_is_one(folder: Path) -> None:
    data = Broden(folder)
    names = data.concepts.categories
    assert [(names[c.category], np.ndim(c.labels)) for c in data.read_labels(1)] == [
        ("material", 2),
        ("material", 0),
        ("texture", 0),
        ("texture", 0),
    ]
    assert not np.any(data.read_labels(1)[0].labels)
    assert [c.labels for c in data.read_labels(3)] == [9, 12, 1]


def test_files_are_the_image_and_its_masks(folder: Path) -> None:
    names = [path.name for path in Broden(folder).files(0)]
    assert names == ["0.png", "0_object.png", "0_part_1.png", "0_part_2.png"]


def test_columns_may_stand_in_any_order_and_categories_may_lack(folder: Path) -> None:
    whole = Broden(folder)
    rows = [line.split(",") for line in (folder / "index.csv").read_text().splitlines()]
    keep = [3, 0, 9, 2, 5, 1, 4, 7]  # among others without part, scene, texture and color
    (folder / "index.csv").write_text("".join(",".join(row[i] for i in keep) + "\n" for row in rows))
    (folder / "c_color.csv").unlink()
    data = Broden(folder)
    names = data.concepts.categories
    assert [names[c.category] for c in data.read_labels(0)] == ["object"]
    assert np.array_equal(data.read_labels(0)[0].labels, OBJECT)
    assert data.concepts.category[0] == whole.concepts.category[0]  # from label.csv's own column
    assert data.image_size() == (4, 6)


def test_a_copy_has_the_same_fingerprint_and_any_table_changes_it(folder: Path) -> None:
    before = Broden(folder).fingerprint()
    moved = folder.rename(folder.with_name("elsewhere"))
    assert Broden(moved).fingerprint() == before
    for name in ("index.csv", "label.csv", "category.csv", "c_part.csv"):
        text = (moved / name).read_text()
        (moved / name).write_text(text.replace("\n", "\r\n"))
        assert Broden(moved).fingerprint() != before
        (moved / name).write_text(text)
    assert Broden(moved).fingerprint() == before


def test_it_survives_pickling(folder: Path) -> None:
    data = pickle.loads(pickle.dumps(Broden(folder)))
    assert np.array_equal(data.read_labels(0)[1].labels, OBJECT)


def test_a_byte_order_mark_is_no_part_of_a_column(folder: Path) -> None:
    text = (folder / "index.csv").read_text()
    (folder / "index.csv").write_text(text, encoding="utf-8-sig")
    assert len(Broden(folder)) == 4


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("index.csv", "color,object", "colour,object", r"unknown column 'colour'.*nearest: color"),
        ("index.csv", "image,split", "photo,split", "no column 'image'"),
        ("index.csv", "color,object", "object,object", "column 'object' twice"),
        ("index.csv", "a/1.png,val", "a/0.png,val", "image 'a/0.png' is listed already in line 2"),
        ("index.csv", "a/1.png,val,4,6,2,3", "a/1.png,val,4,6,3,3", "the same aspect"),
        ("index.csv", "a/1.png,val,4", "a/1.png,val,4.5", "line 3: ih is '4.5'"),
        ("index.csv", "a/1.png,val,4", "a/1.png,val,-4", "ih is '-4'"),
        ("index.csv", "a/1.png,val,4", "a/1.png,val,٤", "ih is"),
        ("index.csv", "a/1.png,val,4", "a/1.png,val,0", "whole number from 1"),
        ("index.csv", "a/1.png,val,4,6", "a/1.png,val,400000,600000", "max_pixels"),
        ("index.csv", "a/1.png,val", "a/1.png,", "split is empty"),
        ("index.csv", "a/1.png,val", ",val", "it is empty"),
        ("index.csv", "a/1.png,val", "../1.png,val", "leaves the folder"),
        ("index.csv", "a/1.png,val", "/etc/passwd,val", "absolute"),
        ("index.csv", "a/1.png,val", "C:/1.png,val", "absolute"),
        ("index.csv", "11;12", "11;;12", "column texture: '' is neither"),
        ("index.csv", "11;12", "11;", "'' is neither"),
        ("index.csv", "11;12", "11;1.5", "'1.5' is neither"),
        ("index.csv", "11;12", "-11", "'-11' is neither"),
        ("index.csv", "11;12", "11;77", "label number 77 is not in label.csv"),
        ("index.csv", "11;12", "99999999999999999999", "is not in label.csv"),
        ("index.csv", "11;12", r"a\..\..\x.png", "leaves the folder"),
        ("index.csv", "11;12", "x/../../../y.png", "leaves the folder"),
        ("index.csv", "11;12", "11;12,7", "13 fields came, the header has 12"),
        ("index.csv", "11;12", '"11', r"fields came|CSV"),
        ("category.csv", "scene,", "part,", "repeated"),
        ("category.csv", "scene,", "../scene,", "no file name"),
        ("label.csv", "\n5,leg", "\n2,leg", "label number 2 is listed twice"),
        ("label.csv", "\n5,leg", "\nfive,leg", "number is 'five'"),
        ("label.csv", "\n5,leg", "\n70000,leg", "from 0 to 65535"),
        ("label.csv", "\n5,leg,part(1)", "\n7,leg,limb(1)", "is in no c_<category>.csv"),
        ("c_part.csv", "0.6", "nan", "coverage is 'nan'"),
        ("c_part.csv", "0.6", "-1", "coverage is '-1'"),
        ("c_part.csv", "coverage", "cover", "no column 'coverage'.*nearest: cover"),
    ],
)
def test_wrong_tables_are_named(folder: Path, file: str, old: str, new: str, message: str) -> None:
    edit(folder / file, old, new)
    with pytest.raises(DataError, match=message):
        Broden(folder)


@pytest.mark.parametrize("file", ["index.csv", "category.csv", "label.csv", "c_part.csv"])
def test_missing_and_unreadable_tables(folder: Path, file: str) -> None:
    (folder / file).write_bytes(b"number,\xff\xfe,name")
    with pytest.raises(DataError, match=f"{file} is not UTF-8"):
        Broden(folder)
    (folder / file).unlink()
    with pytest.raises(DataError, match=rf"{file} is missing"):
        Broden(folder)


def test_no_row_no_label_no_folder(folder: Path) -> None:
    (folder / "index.csv").write_text(f"{COLUMNS}\n")
    with pytest.raises(DataError, match="lists no image"):
        Broden(folder)
    (folder / "index.csv").write_text("")
    with pytest.raises(DataError, match="the header is empty"):
        Broden(folder)
    with pytest.raises(DataError, match="is no folder"):
        Broden(folder / "nowhere")


def test_all_faults_of_the_index_are_told_at_once(folder: Path) -> None:
    edit(folder / "index.csv", "11;12", "77")
    edit(folder / "index.csv", "9,12", "78,-")
    with pytest.raises(DataError, match=r"(?s)line 3: image 'a/1.png', column texture.*77.*line 5.*78"):
        Broden(folder)


def test_labels_that_are_not_listed_name_image_file_and_number(folder: Path) -> None:
    save_mask(folder / "images" / "a" / "0_object.png", np.array([[0, 2, 7], [300, 301, 2]]))
    with pytest.raises(DataError, match=r"mask 'a/0_object.png' of image 'a/0.png' holds label number 7,"):
        Broden(folder).read_labels(0)


def test_damaged_files_are_named(folder: Path) -> None:
    data = Broden(folder)
    mask = folder / "images" / "a" / "0_part_1.png"
    mask.write_bytes(mask.read_bytes()[:60])
    with pytest.raises(DataError, match=r"mask 'a/0_part_1.png' of image 'a/0.png' is"):
        data.read_labels(0)
    mask.unlink()
    with pytest.raises(DataError, match=r"mask 'a/0_part_1.png' of image 'a/0.png' is missing"):
        data.read_labels(0)
    (folder / "images" / "a" / "0.png").unlink()
    with pytest.raises(DataError, match=r"image 'a/0.png' is missing"):
        data.read_image(0)
    (folder / "images" / "a" / "1.png").unlink()
    (folder / "images" / "a" / "1.png").mkdir()
    with pytest.raises(DataError, match=r"image 'a/1.png' cannot be read"):
        data.read_image(1)


def test_sizes_are_those_of_the_index(folder: Path) -> None:
    data = Broden(folder)
    save_mask(folder / "images" / "a" / "0_object.png", OBJECT.T)
    with pytest.raises(DataError, match="is 3 x 2"):
        data.read_labels(0)
    Image.fromarray(np.zeros((8, 12, 3), np.uint8)).save(folder / "images" / "a" / "0.png")
    with pytest.raises(DataError, match=r"index.csv says 4 x 6"):
        data.read_image(0)


def test_odd_sizes_may_be_halved_either_way(folder: Path) -> None:
    text = (folder / "index.csv").read_text()
    for sizes in ("227,227,113,113", "227,227,114,114", "375,500,187,250", "7,9,3,4", "4,6,4,6"):
        (folder / "index.csv").write_text(text.replace("4,6,2,3", sizes))
        assert len(Broden(folder)) == 4
    for sizes in ("227,227,113,110", "375,500,250,187", "224,224,112,56"):
        (folder / "index.csv").write_text(text.replace("4,6,2,3", sizes))
        with pytest.raises(DataError, match="same aspect"):
            Broden(folder)


def test_links_may_not_lead_out(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(outside / "0.png")
    data = Broden(folder)
    target = folder / "images" / "a" / "0.png"
    target.unlink()
    target.symlink_to(outside / "0.png")
    with pytest.raises(DataError, match="leaves the data set's folder"):
        data.read_image(0)
    # A link inside the folder is fine, and so is images/ itself on another disk.
    target.unlink()
    target.symlink_to(folder / "images" / "a" / "1.png")
    assert (data.read_image(0)[0] == 40).all()
    (folder / "images").rename(outside / "images")
    (folder / "images").symlink_to(outside / "images")
    assert (Broden(folder).read_image(3)[0] == 120).all()
    (outside / "images" / "a").rename(tmp_path / "b")
    (outside / "images" / "a").symlink_to(tmp_path / "b")
    with pytest.raises(DataError, match="leaves the data set's folder"):
        Broden(folder).read_image(3)


def test_the_pixel_limit_is_an_option(folder: Path) -> None:
    assert Broden(folder, max_pixels=24).read_image(0)[0].shape == (4, 6, 3)
    with pytest.raises(DataError, match=r"24 pixels; the limit is 23"):
        Broden(folder, max_pixels=23)
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(folder / "images" / "a" / "0.png")
    with pytest.raises(DataError, match="40 x 60 = 2,400 pixels"):
        Broden(folder, max_pixels=24).read_image(0)
