"""Counts of unions: boolean arrays as the oracle, and a data set whose label maps hold the parents."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from chance_cases import boxes, layer_of, planes_from
from dissect_cases import PLAIN, Labelled, Net, vocabulary

import fastdissect
from fastdissect import scores
from fastdissect.errors import DataError, OutputError, SettingError
from fastdissect.methods.chance import planes_of
from fastdissect.methods.hierarchy import build_hierarchy, check_relations, roll_up_layer
from fastdissect.methods.hierarchy.shared_counts import count_shared
from fastdissect.methods.hierarchy.union_counts import count_unions
from fastdissect.methods.hierarchy.uniting import Unions, shared_planes
from fastdissect.packing import slice_planes

SETS = [(0, 2), (1,), (0, 1, 2, 3, 4), (3, 4), ()]


def dense(planes: Any, columns: int) -> Any:
    """bool [images, columns, pixels] of planes."""
    pixels = planes.size[0] * planes.size[1]
    found = np.zeros((planes.images, columns, pixels), bool)
    for n in range(planes.images):
        for p in range(planes.plane_start[n], planes.plane_start[n + 1]):
            row = planes.word_row[p]
            words = np.unpackbits(planes.words[row].view(np.uint8), bitorder="little")[:pixels]
            found[n, planes.concept[p]] |= words.astype(bool) if row >= 0 else True
    return found


def labels_of(seed: int, images: int = 20, side: int = 14) -> Any:
    rng = np.random.default_rng(seed)
    labels = boxes(rng, images, 5, side, 0.6)
    labels[3, 2] = labels[4, 0] = labels[4, 2] = labels[5, 4] = True  # whole images
    labels[7] = labels[8] = False
    return labels


@pytest.mark.parametrize("seed", range(3))
def test_planes_of_unions_and_of_what_they_share(seed: int) -> None:
    labels = labels_of(seed)
    planes = planes_from(labels)
    found = Unions(SETS, 5)(planes)
    expected = np.stack([labels[:, list(own)].any(1) for own in SETS], 1).reshape(len(labels), len(SETS), -1)
    np.testing.assert_array_equal(dense(found, len(SETS)), expected)
    assert found.pixels.sum() == expected.sum()
    for n in range(len(labels)):  # in rising order, each set once
        assert (np.diff(found.concept[found.plane_start[n] : found.plane_start[n + 1]]) > 0).all()
    pairs = np.array([(0, 1), (0, 0), (2, 3), (3, 0), (4, 4)])
    both = shared_planes(found, len(SETS), pairs)
    shared = expected[:, pairs[:, 0]] & expected[:, pairs[:, 1]]
    np.testing.assert_array_equal(dense(both, len(pairs)), shared)
    np.testing.assert_array_equal(
        np.bincount(both.concept, both.pixels, len(pairs)), shared.sum((0, 2)), strict=False
    )
    nothing = Unions([], 5)(planes)
    assert (nothing.images, len(nothing.concept)) == (len(labels), 0)
    part = Unions(SETS, 5)(slice_planes(planes, 3, 9))
    np.testing.assert_array_equal(dense(part, len(SETS)), expected[3:9])


def test_a_label_in_several_channels_counts_once() -> None:
    labels = labels_of(1)
    planes = planes_from(labels)
    twice = dataclasses.replace(
        planes,
        plane_start=planes.plane_start * 2,
        **{name: np.repeat(getattr(planes, name), 2) for name in ("concept", "pixels", "word_row")},
    )
    once, again = (Unions(SETS, 5)(p) for p in (planes, twice))
    for field in dataclasses.fields(once):
        np.testing.assert_array_equal(getattr(once, field.name), getattr(again, field.name))


RELATIONS = check_relations(
    [
        ("concept 0", "even"), ("concept 2", "even"), ("even", "all"), ("concept 1", "mixed"), ("concept 2", "mixed"),
        ("mixed", "all"), ("concept 3", "concept 4"), ("concept 4", "all"), ("concept 1", "mixed", "part-of"),
    ]
)  # fmt: skip


def masks_of(layer: Any) -> Any:
    images, units = layer.shape[:2]
    return np.array([[layer.unit_mask(k, n).ravel() for k in range(units)] for n in range(images)])


@pytest.mark.parametrize("presence", ["image", "under-mask", "all"])
@pytest.mark.parametrize("backend", ["reference", None])
def test_every_count_and_iou_is_that_of_boolean_arrays(
    presence: str, backend: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend is not None:
        monkeypatch.setenv("FASTDISSECT_BACKEND", backend)
    labels = labels_of(2)
    x = np.random.default_rng(5).random((20, 6, 7, 7), dtype=np.float32)
    layer, planes = layer_of(x, labels, presence=presence)
    tree = build_hierarchy(layer.concepts, RELATIONS)
    found = roll_up_layer(layer, planes, tree)
    masks, flat = masks_of(layer), labels.reshape(20, 5, -1)
    category, score = layer.concepts.category, found.iou()
    assert len(tree.unions) == 4
    for node in range(len(tree)):
        own = list(tree.members[node])
        union = flat[:, own].any(1)
        kinds = np.flatnonzero(np.isin(category, category[own]))
        for k in range(6):
            mask = masks[:, k]
            any_label = flat[:, kinds].any(1)
            counted = {
                "all": np.ones(20, bool),
                "image": any_label.any(1),
                "under-mask": (any_label & mask).any(1),
            }[presence]
            shared = int((mask & union).sum())
            area = int(mask[counted].sum())
            whole = area + int(union.sum()) - shared
            expected = shared / (whole + layer.profile.epsilon) if whole else 0.0
            assert score[k, node] == expected, (tree.names[node], k)


def test_shared_pixels_are_those_of_boolean_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = labels_of(4)
    x = np.random.default_rng(6).random((20, 6, 7, 7), dtype=np.float32)
    layer, planes = layer_of(x, labels, top=0.4)
    pairs = np.array([(0, 0), (0, 1), (2, 3), (1, 3)])
    expected = None
    for most in (1 << 24, 7):  # all at once, and a pair at a time
        monkeypatch.setattr("fastdissect.methods.hierarchy.shared_counts._MOST", most)
        found = count_shared(layer, planes, SETS, pairs, [np.arange(6)[i:] for i in range(4)])
        flat = labels.reshape(20, 5, -1)
        sets = np.stack([flat[:, list(own)].any(1) for own in SETS], 1)
        both = sets[:, pairs[:, 0]] & sets[:, pairs[:, 1]]
        expected = (masks_of(layer)[:, :, None] & both[:, None]).sum((0, 3))
        for i, own in enumerate(found.under):
            np.testing.assert_array_equal(own, expected[i:, i])
        np.testing.assert_array_equal(found.pixels, both.sum((0, 2)))
    assert expected is not None
    assert (expected.sum(0) > 0).sum() >= 3


@pytest.mark.parametrize("profile", ["netdissect", "netdissect-lite", "dissect-2020"])
def test_counts_are_those_of_a_data_set_whose_maps_hold_the_parent(profile: str) -> None:
    """`animal` = cat or dog or poodle, which overlap: a further channel holds it as a label of the same category."""
    side, images = 24, 18
    rng = np.random.default_rng(9)
    pixels = rng.integers(0, 256, (images, side, side, 3), dtype=np.uint8)
    names = (["cat", "dog", "poodle", "sky"], ["night"])
    plain: list[list[tuple[int, Any]]] = []
    more: list[list[tuple[int, Any]]] = []
    for image in range(images):
        own: list[tuple[int, Any]] = []
        if image % 4:
            for low, high in ((1, 3), (3, 5)):
                channel = np.zeros((side, side), np.uint16)
                for number in rng.integers(low, high, 2):
                    y, x = rng.integers(0, side - 6, 2)
                    channel[y : y + rng.integers(4, 14), x : x + rng.integers(4, 14)] = number
                own.append((0, channel))
        if image % 3 == 0:
            own.append((1, 5))
        plain.append(own)
        animal = np.zeros((side, side), np.uint16)
        for _, channel in own[:-1] if image % 3 == 0 else own:
            animal[(channel >= 1) & (channel <= 3)] = 6
        more.append([*own, (0, animal)] if animal.any() else own)
    wide = vocabulary(*names, ["animal"])
    wide = dataclasses.replace(wide, category=np.array([0, 0, 0, 0, 1, 0]), categories=("q0", "q1"))
    network, options = (
        Net().eval(),
        {"preprocessing": PLAIN, "cache": None, "progress": False, "batch_size": 5},
    )
    data = Labelled(pixels, plain, vocabulary(*names))
    a = fastdissect.dissect(
        network, data, "first", profile=profile, quantile="1/12", mask_size=side, **options
    )
    b = fastdissect.dissect(
        network,
        Labelled(pixels, more, wide),
        "first",
        profile=profile,
        quantile="1/12",
        mask_size=side,
        **options,
    )
    tree = build_hierarchy(
        a.concepts, check_relations([("cat", "animal"), ("dog", "animal"), ("poodle", "animal")])
    )
    layer, with_parent = a["first"], b["first"]
    found = count_unions(layer, planes_of(a, data, cache=None, progress=False), tree)
    np.testing.assert_array_equal(found.counts.intersection[:, 0], with_parent.intersection[:, 5])
    np.testing.assert_array_equal(found.counts.unit_area[:, 0], with_parent.unit_area[:, 0])
    assert found.counts.concept_area[0] == with_parent.concept_area[5]
    assert found.counts.concept_area[0] < with_parent.concept_area[:3].sum()  # they overlap
    expected = scores.iou(with_parent.counts, b.concepts, b.profile)
    np.testing.assert_array_equal(found.iou(layer, slice(None))[:, [0, 1, 2, 3, 4, 5]], expected)


def test_what_cannot_be_counted_is_refused() -> None:
    labels = labels_of(0)
    x = np.random.default_rng(1).random((20, 3, 7, 7), dtype=np.float32)
    layer, planes = layer_of(x, labels)
    tree = build_hierarchy(layer.concepts, RELATIONS)
    with pytest.raises(SettingError, match="did not keep"):
        roll_up_layer(dataclasses.replace(layer, activations=None), planes, tree)
    with pytest.raises(DataError, match=r"its 20 images of \(14, 14\) pixels; got 6"):
        roll_up_layer(layer, slice_planes(planes, 0, 6), tree)
    other = build_hierarchy(vocabulary(["a", "b"]), check_relations([("a", "c")]))
    with pytest.raises(DataError, match="expected a hierarchy of its 5 concepts"):
        roll_up_layer(layer, planes, other)
    assert layer.activations is not None
    cells = layer.activations.cells.copy()
    cells[0] = 60000
    broken = dataclasses.replace(layer.activations, cells=cells)
    with pytest.raises(OutputError, match="damaged"):
        roll_up_layer(dataclasses.replace(layer, activations=broken), planes, tree)
    nothing = dataclasses.replace(
        layer.counts,
        **{f.name: np.zeros_like(getattr(layer.counts, f.name)) for f in dataclasses.fields(layer.counts)},
    )
    few = dataclasses.replace(layer, counts=nothing, seen=np.zeros(3, np.int64))
    with pytest.raises(SettingError, match="too few images"):
        roll_up_layer(few, planes, tree)
    for tolerance in (-0.1, 1, 1.5, float("nan"), True, "0.1"):
        with pytest.raises(SettingError, match="expected a tolerance from 0 to below 1"):
            roll_up_layer(layer, planes, tree, tolerance=tolerance)  # type: ignore[arg-type]
    for share in (-0.1, 1.1, float("nan"), None):
        with pytest.raises(SettingError, match="expected a least share from 0 to 1"):
            roll_up_layer(layer, planes, tree, least_share=share)  # type: ignore[arg-type]
