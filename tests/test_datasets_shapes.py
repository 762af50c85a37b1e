from __future__ import annotations

import hashlib
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdissect.datasets import Shapes
from fastdissect.datasets.shapes.draws import Draws
from fastdissect.datasets.shapes.picture import plan_picture
from fastdissect.datasets.shapes.vocabulary import CATEGORIES, NUMBER
from fastdissect.errors import SettingError


@pytest.fixture(scope="module")
def data() -> Shapes:
    return Shapes(images=300, size=64, seed=3)


def in_category(data: Shapes, index: int, name: str) -> list:
    return [c.labels for c in data.read_labels(index) if data.concepts.categories[c.category] == name]


def same(a, b) -> bool:
    return len(a) == len(b) and all(
        x.category == y.category and np.array_equal(x.labels, y.labels) for x, y in zip(a, b, strict=True)
    )


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**40), st.integers(0, 10**9 - 1), st.sampled_from([16, 17, 56, 113]))
def test_an_image_depends_on_seed_and_index_alone(seed: int, index: int, size: int) -> None:
    first = Shapes(images=10**9, size=size, seed=seed)
    pixels, digest = first.read_image(index)
    assert pixels.shape == (size, size, 3)
    assert pixels.dtype == np.uint8
    other = Shapes(images=index + 1, size=size, seed=seed)
    other.read_labels(index // 2)  # another order of reading
    assert same(other.read_labels(index), first.read_labels(index))
    assert np.array_equal(other.read_image(index)[0], pixels)
    assert other.read_image(index)[1] == digest
    for channel in first.read_labels(index):
        if isinstance(channel.labels, np.ndarray):
            assert channel.labels.shape == (size, size)
            assert channel.labels.dtype == np.uint16


def test_seeds_differ(data: Shapes) -> None:
    assert not np.array_equal(data.read_image(5)[0], Shapes(size=64, seed=4).read_image(5)[0])


def test_the_images_of_a_seed_stay_what_they_are() -> None:
    """A trained model and published numbers depend on them: whoever changes a picture raises the version."""
    data = Shapes(images=40, size=48)
    digest = hashlib.blake2b(digest_size=8)
    for index in range(40):
        for channel in data.read_labels(index):
            digest.update(np.asarray(channel.labels, dtype="<u2").tobytes())
    assert digest.hexdigest() == "acac8ea18f3b3df7"


def test_vocabulary(data: Shapes) -> None:
    concepts = data.concepts
    assert len(concepts) == 61
    assert (np.diff(concepts.numbers) > 0).all()
    assert set(concepts.categories) == {"color", "object", "part", "material", "scene", "texture"}
    for number in range(6):
        own = concepts.category == number
        assert own.any()
        # Numbers rise from category to category.
        assert (np.diff(np.flatnonzero(own)) == 1).all()
    suffix = {
        c: {n[-2:] for n, k in zip(concepts.names, concepts.category, strict=True) if CATEGORIES[k] == c}
        for c in ("color", "scene")
    }
    assert suffix == {"color": {"-c"}, "scene": {"-s"}}
    assert concepts.numbers.max() > 255  # both bytes of the coding are in use


def test_all_concepts_occur_and_are_in_the_vocabulary(data: Shapes) -> None:
    seen: set[int] = set()
    for index in range(len(data)):
        for channel in data.read_labels(index):
            seen |= set(np.unique(channel.labels).tolist())
    assert seen == {0, *data.concepts.numbers.tolist()}


def test_kinds_of_images_lack_categories_as_stated(data: Shapes) -> None:
    kinds = [plan_picture(Draws(data.seed, i)).kind for i in range(len(data))]
    assert {k: kinds.count(k) > 0 for k in ("scene", "thing", "texture", "bare")} == dict.fromkeys(
        ("scene", "thing", "texture", "bare"), True
    )
    for index, kind in enumerate(kinds):
        has = {data.concepts.categories[c.category] for c in data.read_labels(index)}
        if kind == "bare":
            assert has == set()
        elif kind == "texture":
            assert has == {"texture", "color"}
            assert isinstance(in_category(data, index, "texture")[0], int)
        else:
            assert ("scene" in has) == (kind == "scene")
            assert "object" in has
        if "scene" in has:
            assert isinstance(in_category(data, index, "scene")[0], int)
        if "color" in has:
            (colours,) = in_category(data, index, "color")
            assert (colours > 0).all()  # every pixel has a colour


def test_parts_lie_on_their_objects_and_nested_parts_in_their_parts(data: Shapes) -> None:
    objects = {
        "roof": "house", "door": "house", "body": "car", "wheel": "car", "crown": "tree", "trunk": "tree",
        "eye": "face", "pupil": "face", "mouth": "face", "petal": "flower", "stem": "flower",
    }  # fmt: skip
    outer = {"door": ["wall"], "window": ["wall", "body"], "pupil": ["eye"]}
    nested = 0
    for index in range(len(data)):
        parts = in_category(data, index, "part")
        if not parts:
            continue
        (things,) = in_category(data, index, "object")
        for channel in parts:
            for part, thing in objects.items():
                assert (things[channel == NUMBER[part]] == NUMBER[thing]).all()
        if len(parts) == 2:
            for inner, around in outer.items():
                mask = parts[1] == NUMBER[inner]
                nested += mask.any()
                assert np.isin(parts[0][mask], [NUMBER[name] for name in around]).all()
            assert set(np.unique(parts[1]).tolist()) <= {0, *(NUMBER[name] for name in outer)}
    assert nested > 30


def test_labels_are_pixel_exact() -> None:
    """On a plain ground, a thing's pixels are told by colour: mask and paint have the same edge."""
    data = Shapes(images=400, size=96, seed=1)
    checked = 0
    for index in range(len(data)):
        kind = plan_picture(Draws(1, index)).kind
        colours = in_category(data, index, "color")
        if kind != "thing" or not colours:
            continue
        ground = colours[0][in_category(data, index, "object")[0] == 0]
        assert len(set(ground.tolist())) == 1
        pixels = data.read_image(index)[0].astype(int)
        inside = in_category(data, index, "object")[0] > 0
        away = np.abs(pixels - np.median(pixels[~inside], axis=0)).max(axis=2)
        same_colour = colours[0] == ground[0]
        # Light and noise move a colour by at most 60; other colours may come as near, so one way only.
        assert (away[~inside] < 60).all()
        assert not (same_colour & inside).all()
        checked += 1
    assert checked > 20


def test_targets_are_what_is_shown(data: Shapes) -> None:
    names = data.concepts.names
    classes = set()
    for index in range(len(data)):
        plan = plan_picture(Draws(data.seed, index))
        target, targets = data.target(index), data.targets(index)
        assert targets.dtype == np.bool_
        assert targets.shape == (61,)
        assert data.classes[target] == plan.subject
        assert targets[names.index(plan.subject)]  # the subject is painted last
        if plan.scene is not None:
            assert targets[names.index(f"{plan.scene}-s")]
        labelled = {n for c in data.read_labels(index) for n in np.unique(c.labels).tolist()} - {0}
        assert labelled <= set(data.concepts.numbers[targets].tolist())
        classes.add(target)
    assert classes == set(range(16))


def test_names_fingerprint_and_pickle(data: Shapes) -> None:
    assert len({data.image_name(i) for i in range(len(data))}) == len(data)
    assert data.files(0) == ()
    prints = [
        Shapes(images=i, size=s, seed=k).fingerprint()
        for i, s, k in ((9, 32, 0), (8, 32, 0), (9, 33, 0), (9, 32, 1))
    ]
    assert len(set(prints)) == 4
    data.read_image(0)
    again = pickle.loads(pickle.dumps(data))
    assert len(pickle.dumps(data)) < 20_000  # the last image does not travel
    assert again.fingerprint() == data.fingerprint()
    assert np.array_equal(again.read_image(0)[0], data.read_image(0)[0])


def test_what_is_handed_out_is_the_callers(data: Shapes) -> None:
    index = next(i for i in range(300) if plan_picture(Draws(data.seed, i)).kind == "thing")
    pixels, channels, targets = data.read_image(index)[0], data.read_labels(index), data.targets(index)
    before = pixels.copy(), [c.labels.copy() for c in channels], targets.copy()
    pixels[:] = 0
    targets[:] = False
    for channel in channels:
        channel.labels[:] = 0
    assert np.array_equal(data.read_image(index)[0], before[0])
    assert np.array_equal(data.targets(index), before[2])
    for channel, labels in zip(data.read_labels(index), before[1], strict=True):
        assert np.array_equal(channel.labels, labels)


@pytest.mark.parametrize(
    "options", [{"images": 0}, {"size": 15}, {"size": 5000}, {"seed": -1}, {"images": 2.5}, {"size": True}]
)
def test_options_out_of_range(options: dict) -> None:
    with pytest.raises(SettingError, match="expected a whole number from"):
        Shapes(**options)


@pytest.mark.parametrize("index", [-1, 300])
def test_an_index_out_of_range(data: Shapes, index: int) -> None:
    for call in (data.read_image, data.read_labels, data.image_name, data.files, data.target, data.targets):
        with pytest.raises(IndexError, match="of 300"):
            call(index)
