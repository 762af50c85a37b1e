from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
from scene_cases import SCENES
from written_voc import count, expected
from written_voc_parts import LABELS, save_annotation, write

from fastdissect.datasets.opening import open_dataset
from fastdissect.datasets.pascal.part_names import PARTS, READABLE, merged_name, short_name
from fastdissect.datasets.relations import Relation
from fastdissect.errors import DataError

HEIGHT, WIDTH = SCENES[0].size


def box(top: int, bottom: int, left: int, right: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[top:bottom, left:right] = True
    return mask


def thing(kind: str, mask: np.ndarray, **parts: np.ndarray) -> dict:
    return {
        "class": kind,
        "class_ind": 1,
        "mask": mask,
        "parts": [{"part_name": n, "mask": m} for n, m in parts.items()],
    }


def rewrite(folder: Path, *objects: dict) -> None:
    save_annotation(folder / "Annotations_Part" / "street.mat", "street", list(objects))


def test_counts_are_those_of_the_scenes(tmp_path: Path) -> None:
    data = open_dataset(write(tmp_path))
    assert count(data) == expected(LABELS)
    assert [data.image_name(i) for i in range(3)] == ["empty.png", "street.png", "yard.png"]
    assert data.read_labels(0) == ()
    assert [channel.category for channel in data.read_labels(1)] == [0, 1]
    assert data.concepts.categories == ("object", "part")
    assert data.concepts.numbers.tolist() == [*range(1, 21), *range(101, 101 + len(READABLE))]
    assert Relation("wheel", "car", "part-of") in data.relations
    assert Relation("wheel", "cat", "part-of") not in data.relations
    assert open_dataset(data.name).fingerprint() == data.fingerprint()


def test_parts_of_several_classes_share_a_name(tmp_path: Path) -> None:
    spec = write(tmp_path)
    ears = {"lear": box(0, 2, 0, 3), "rear": box(0, 2, 4, 6)}
    rewrite(
        tmp_path,
        thing("cat", box(0, 8, 0, 8), **ears),
        thing("dog", box(10, 20, 0, 8), lear=box(10, 11, 0, 5)),
        thing("car", box(20, 30, 0, 40), wheel_1=box(28, 30, 0, 2), wheel_2=box(28, 30, 8, 10)),
    )
    others = {"cat": 64 + 256, "dog": 80, "car": 400}  # 256: the yard's cat
    assert count(open_dataset(spec)) == {**others, "lear": 6 + 5, "rear": 4, "wheel": 8}
    merged = open_dataset(f"{spec}?merge_sides=yes")
    assert count(merged) == {**others, "ear": 15, "wheel": 8}
    assert merged.synonyms["ear"] == ("lear", "left ear", "rear", "right ear")
    by_class = count(open_dataset(f"{spec}?by_class=yes,merge_sides=yes"))
    assert by_class == {**others, "cat ear": 10, "dog ear": 5, "car wheel": 8}


def test_overlapping_masks_stay_overlapping(tmp_path: Path) -> None:
    """Random boxes of random parts against a count of unions by hand."""
    spec, rng = write(tmp_path), np.random.default_rng(3)
    names = ["torso", "head", "lear", "tail"]
    for _ in range(5):
        masks = {f"{n}_{i}": rng.random((HEIGHT, WIDTH)) < 0.3 for i, n in enumerate(rng.choice(names, 6))}
        objects = [rng.random((HEIGHT, WIDTH)) < 0.5 for _ in range(2)]
        rewrite(tmp_path, thing("cat", objects[0], **masks), thing("dog", objects[1]))
        want = {"cat": int(objects[0].sum()) + 256, "dog": int(objects[1].sum())}
        for name in names:
            mine = [mask for key, mask in masks.items() if short_name(key) == name]
            if mine:
                want[name] = int(np.any(mine, axis=0).sum())
        assert count(open_dataset(spec)) == want


def test_a_mask_without_a_pixel_says_nothing(tmp_path: Path) -> None:
    spec = write(tmp_path)
    rewrite(tmp_path, thing("cat", box(0, 8, 0, 8), tail=box(0, 0, 0, 0)))
    assert count(open_dataset(spec)) == {"cat": 64 + 256}


def test_names_of_parts() -> None:
    # Counted in part2ind.m of the release.
    assert {kind: len(parts) for kind, parts in PARTS.items() if parts} == {
        "aeroplane": 7, "bicycle": 6, "bird": 13, "bottle": 2, "bus": 13, "car": 13, "cat": 17, "cow": 19, "dog": 18,
        "horse": 21, "motorbike": 5, "person": 24, "pottedplant": 2, "sheep": 19, "train": 13, "tvmonitor": 1,
    }  # fmt: skip
    known = {
        "lwing": "left wing", "bwheel": "back wheel", "handlebar": "handle bar", "chainwheel": "chain wheel",
        "fliplate": "front license plate", "lfpa": "left front paw", "rbuleg": "right back upper leg",
        "lflleg": "left front lower leg", "rebrow": "right eyebrow", "llarm": "left lower arm", "luleg": "left upper leg",
        "hfrontside": "head front side", "croofside": "coach roof side", "lfho": "left front hoof", "lleg": "left leg",
        "lbleg": "left back leg", "roofside": "roof side", "torso": "torso", "headlight": "headlight",
    }  # fmt: skip
    assert {name: READABLE[name] for name in known} == known
    assert len(set(READABLE.values())) == len(READABLE)
    words = {word for name in READABLE for word in merged_name(name).split()}
    assert not words & {"left", "right", "front", "back", "upper", "lower"}


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ([thing("lorry", box(0, 8, 0, 8))], r"street.mat.*object 1 is of the unknown class 'lorry'"),
        (
            [thing("cat", box(0, 8, 0, 8), wing=box(0, 1, 0, 1))],
            r"object 1 \(cat\) has the unknown part 'wing'",
        ),
        ([thing("cat", box(0, 8, 0, 8), head=np.ones((4, 4)))], "masks of several sizes"),
        ([thing("cat", np.ones((WIDTH, HEIGHT)))], "expected the same aspect"),
        ([thing("cat", np.ones((2, 2, 2)))], "has no mask"),
        ([thing(7, box(0, 8, 0, 8))], "is no text"),
    ],
)
def test_bad_annotations(tmp_path: Path, objects: list, message: str) -> None:
    data = open_dataset(write(tmp_path))
    rewrite(tmp_path, *objects)
    with pytest.raises(DataError, match=message):
        data.read_labels(1)


@pytest.mark.parametrize("anno", [{"imname": "street"}, "street", 5.0])
def test_annotations_of_another_form(tmp_path: Path, anno) -> None:
    data = open_dataset(write(tmp_path))
    scipy.io.savemat(tmp_path / "Annotations_Part" / "street.mat", {"anno": anno})
    with pytest.raises(DataError, match=r"street\.mat.* has no field 'objects'"):
        data.read_labels(1)


def test_bad_folders(tmp_path: Path) -> None:
    spec = write(tmp_path)
    (tmp_path / "VOC2010" / "JPEGImages" / "yard.png").unlink()
    with pytest.raises(DataError, match="image 'yard' is missing"):
        open_dataset(spec)
    (tmp_path / "VOC2010").rename(tmp_path / "photos")
    with pytest.raises(DataError, match="option images"):
        open_dataset(spec)
    (tmp_path / "Annotations_Part").rename(tmp_path / "parts")
    with pytest.raises(DataError, match="none of the folders Annotations_Part, trainval/Annotations_Part"):
        open_dataset(spec)
