"""Masks of a layer as ranges of words: those that were counted, bit for bit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from chance_cases import boxes, layer_of
from kernel_cases import KINDS, encode, values

from fastdissect.errors import OutputError, SettingError
from fastdissect.kernels.reference import pack_bits
from fastdissect.layer import LayerDissection
from fastdissect.methods.chance import unit_masks
from fastdissect.methods.chance.permuting import Laid, check_planes, permuted_counts


def dense(layer: LayerDissection) -> np.ndarray:
    """bool [images, units, pixels], one mask at a time."""
    images, units = layer.shape[:2]
    masks = [[layer.unit_mask(k, n).reshape(-1) for k in range(units)] for n in range(images)]
    return np.array(masks)


@pytest.mark.parametrize("mode", ["half-pixel", "half-pixel-zero", "pil"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("flavour", ["normal", "relu", "ties", "huge"])
def test_they_are_the_unit_masks(mode: str, kind: str, flavour: str) -> None:
    rng = np.random.default_rng(7)
    x = encode(values(rng, (9, 4, 9, 7), flavour), kind)
    side = 5 if mode == "pil" else 18  # antialiasing shrinks: more than two taps
    layer, planes = layer_of(x, boxes(rng, 9, 3, side), mode=mode, kind=kind)
    masks, expected = unit_masks(layer), dense(layer)
    assert masks.images == 9
    assert masks.units == 4
    assert masks.area.sum() == expected.sum() == layer.mask_area.sum()
    seen = []
    for n in range(9):
        for r in range(masks.image_start[n], masks.image_start[n + 1]):
            whole = np.zeros(planes.words.shape[1], np.uint64)
            own = masks.words[masks.word_start[r] : masks.word_start[r + 1]]
            assert own[0]
            assert own[-1]
            whole[masks.first_word[r] : masks.first_word[r] + len(own)] = own
            np.testing.assert_array_equal(whole, pack_bits(expected[n, masks.unit[r]]))
            seen.append((n, int(masks.unit[r])))
    assert seen == [tuple(pair) for pair in np.argwhere(expected.any(2)).tolist()]


@pytest.mark.parametrize("presence", ["image", "under-mask", "all"])
@pytest.mark.parametrize("mode", ["half-pixel", "half-pixel-zero"])
def test_the_identity_gives_the_layers_own_counts(presence: str, mode: str) -> None:
    rng = np.random.default_rng(8)
    layer, planes = layer_of(
        values(rng, (12, 5, 6, 6), "relu"), boxes(rng, 12, 4, 18), mode=mode, presence=presence
    )
    laid = Laid(layer, unit_masks(layer), planes)
    intersection, unit_area = permuted_counts(laid, np.arange(12)[None])
    np.testing.assert_array_equal(intersection[0], layer.intersection)
    np.testing.assert_array_equal(unit_area[0], layer.unit_area)
    check_planes(laid)


def test_missing_values_are_not_above() -> None:
    rng = np.random.default_rng(9)
    x = values(rng, (6, 3, 5, 5), "normal")
    layer, _ = layer_of(x, boxes(rng, 6, 2, 15))
    holed = x.copy()
    holed[2, 1, 1:3, 2] = np.nan
    broken = layer_of(holed, boxes(np.random.default_rng(9), 6, 2, 15))[0]
    assert unit_masks(broken).area.sum() == dense(broken).sum()
    assert layer.mask_area.sum() > 0


def test_a_run_without_activations_is_refused() -> None:
    rng = np.random.default_rng(1)
    layer, _ = layer_of(values(rng, (4, 2, 5, 5), "normal"), boxes(rng, 4, 2, 10))
    with pytest.raises(SettingError, match="--no-activations"):
        unit_masks(dataclasses.replace(layer, activations=None))


def test_undetermined_masks_are_refused() -> None:
    rng = np.random.default_rng(1)
    layer, _ = layer_of(np.zeros((4, 2, 5, 5), np.float32), boxes(rng, 4, 2, 10))
    with pytest.raises(SettingError, match="too few images"):
        unit_masks(dataclasses.replace(layer, seen=np.zeros(2, np.int64)))


def test_given_thresholds_make_masks_of_any_number_of_images() -> None:
    rng = np.random.default_rng(1)
    layer, _ = layer_of(values(rng, (4, 2, 5, 5), "normal"), boxes(rng, 4, 2, 10))
    assert (
        unit_masks(dataclasses.replace(layer, seen=np.zeros(2, np.int64))).area.sum() == layer.mask_area.sum()
    )


def test_cells_outside_the_map_are_refused() -> None:
    rng = np.random.default_rng(1)
    layer, _ = layer_of(values(rng, (4, 2, 5, 5), "normal"), boxes(rng, 4, 2, 10))
    cells = layer.activations
    assert cells is not None
    damaged = dataclasses.replace(cells, cells=np.full_like(cells.cells, 25))
    with pytest.raises(OutputError, match="damaged"):
        unit_masks(dataclasses.replace(layer, activations=damaged))
