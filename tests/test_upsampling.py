"""The tables, against Pillow, torch and the numbers of METHODS 1.3; and the arithmetic that sparse counting rests on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import HUGE, VALUES, upsample_loop, values
from PIL import Image

from fastdissect.errors import LayerError, SettingError
from fastdissect.kernels.reference import upsample, upsampled_mask
from fastdissect.types import Upsampling
from fastdissect.upsampling import MODES, AxisField, make_upsampling

SIZES = [
    ((1, 1), (1, 1)),
    ((1, 1), (5, 7)),
    ((7, 7), (112, 112)),
    ((13, 13), (113, 113)),
    ((14, 9), (10, 30)),
    ((5, 6), (7, 4)),
    ((56, 55), (12, 13)),
    ((56, 56), (56, 56)),
    ((3, 64), (2, 1)),
    ((100, 3), (33, 3)),
]


def maps(cells: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(cells[0]).uniform(-1, 1, cells).astype(np.float32)


def pillow(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(x).resize((size[1], size[0]), Image.Resampling.BILINEAR))


def interpolate(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    tensor = torch.from_numpy(x)[None, None].double()  # torch works out positions in the tensor's type
    return torch.nn.functional.interpolate(tensor, size, mode="bilinear", align_corners=False)[0, 0].numpy()


def grid_sample(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """METHODS 1.3(c): align_corners=True on a grid of src = (dst - o) / s, s = target / source, o = 0.5 s - 0.5."""
    axes = []
    for cells, pixels in zip(x.shape, size, strict=True):
        s = pixels / cells
        src = (np.arange(pixels) - (0.5 * s - 0.5)) / s
        axes.append(2 * src / (cells - 1) - 1)
    y, c = np.meshgrid(*axes, indexing="ij")
    grid = torch.from_numpy(np.stack([c, y], -1)[None])
    sampled = torch.nn.functional.grid_sample(
        torch.from_numpy(x)[None, None].double(), grid, padding_mode="zeros", align_corners=True
    )
    return sampled[0, 0].numpy()


@pytest.mark.parametrize(("cells", "size"), SIZES)
def test_half_pixel_is_torch_interpolate(cells: tuple[int, int], size: tuple[int, int]) -> None:
    x = maps(cells)
    got = upsample(x, make_upsampling("half-pixel", cells, size))
    np.testing.assert_allclose(got, interpolate(x, size), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("cells", "size"), SIZES)
def test_pil_is_pillow(cells: tuple[int, int], size: tuple[int, int]) -> None:
    x = maps(cells)
    table = make_upsampling("pil", cells, size)
    np.testing.assert_allclose(upsample(x, table), pillow(x, size), rtol=0, atol=1e-6)
    assert (table.reach > 1) == any(n > m for n, m in zip(cells, size, strict=True))


@pytest.mark.parametrize("pixels", range(1, 40))
def test_pil_for_every_reduction(pixels: int) -> None:
    for cells in (7, 31, 40, 97):
        x = maps((cells, 1))
        table = make_upsampling("pil", (cells, 1), (pixels, 1))
        np.testing.assert_allclose(upsample(x, table), pillow(x, (pixels, 1)), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("cells", "size"), [s for s in SIZES if min(s[0]) > 1])
def test_zero_ring_is_grid_sample(cells: tuple[int, int], size: tuple[int, int]) -> None:
    x = maps(cells)
    table = make_upsampling("half-pixel-zero", cells, size)
    got = upsample(x, table)
    np.testing.assert_allclose(got, grid_sample(x, size), rtol=0, atol=1e-6)
    assert table.ring


def test_zero_ring_of_one_cell() -> None:
    """The product of two triangles, by hand."""
    got = upsample(np.ones((1, 1), np.float32), make_upsampling("half-pixel-zero", (1, 1), (4, 2)))
    np.testing.assert_array_equal(got, np.outer([0.625, 0.875, 0.875, 0.625], [0.75, 0.75]))


def test_alexnet_conv5_centres() -> None:
    """METHODS 1.3(a): offset -64, size 163, stride 16 -> centres 8, 24, ..., at mask pixels 8 and every 8 on."""
    field = AxisField(-64, 163, 16)
    table = make_upsampling(
        "receptive-field", (13, 13), (113, 113), fields=(field, field), input_size=(227, 227)
    )
    x = np.random.default_rng(0).normal(size=(13, 13)).astype(np.float32)
    got = upsample(x, table)
    centres = list(range(8, 105, 8))
    np.testing.assert_array_equal(got[np.ix_(centres, centres)], x)
    np.testing.assert_array_equal(got[12, centres], x[0] + (x[1] - x[0]) * np.float32(0.5))
    np.testing.assert_array_equal(got[:9], np.broadcast_to(got[8], (9, 113)))  # held before the first centre
    np.testing.assert_array_equal(got[104:], np.broadcast_to(got[104], (9, 113)))


def test_vgg16_conv5_3_centres() -> None:
    field = AxisField(-90, 196, 16)
    table = make_upsampling(
        "receptive-field", (14, 14), (112, 112), fields=(field, field), input_size=(224, 224)
    )
    x = np.arange(14, dtype=np.float32).reshape(14, 1) * np.ones(14, np.float32)
    centres = [4 + 8 * i for i in range(14)]
    np.testing.assert_array_equal(upsample(x, table)[centres, 0], np.arange(14))


def test_a_receptive_field_below_one_pixel_names_the_layer() -> None:
    field = AxisField(0, 3, 1)
    with pytest.raises(LayerError, match=r"'conv1'.*less than one mask pixel"):
        make_upsampling(
            "receptive-field", (8, 8), (4, 4), fields=(field, field), input_size=(8, 8), layer="conv1"
        )


def tables(cells: tuple[int, int], size: tuple[int, int]) -> list[Upsampling]:
    field = AxisField(-1, 5, 3)
    simple = [make_upsampling(mode, cells, size) for mode in MODES if mode != "receptive-field"]
    return [*simple, make_upsampling("receptive-field", cells, size, fields=(field, field), input_size=size)]


@given(
    cells=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    size=st.tuples(st.integers(1, 130), st.integers(1, 130)),
)
def test_tables_are_sound(cells: tuple[int, int], size: tuple[int, int]) -> None:
    """Taps in the map, starts rising (the kernels rely on both), weights that add to 1, lerp weights below 1."""
    for table in tables(cells, size):
        assert table.cells == cells
        assert table.size == size
        for axis, n, m in ((table.rows, cells[0], size[0]), (table.columns, cells[1], size[1])):
            last = n - 1 + 2 * table.ring
            assert axis.start.shape == (m,)
            assert axis.weights.shape == (m, axis.taps)
            assert (axis.start.dtype, axis.weights.dtype) == (np.int32, np.float32)
            assert axis.start.min() >= 0
            assert axis.start.max() <= last
            assert (np.diff(axis.start) >= 0).all()
            np.testing.assert_allclose(axis.weights.sum(1), 1, atol=1e-6)
            assert axis.weights.min() >= 0
            if axis.lerp:
                assert axis.taps == 2
                assert axis.weights[:, 1].max() <= 1 - 2.0**-22
                assert (axis.weights[axis.start == last, 1] == 0).all()
            else:
                assert (axis.start + axis.taps - 1).max() <= last


@pytest.mark.parametrize("n", [1, 2, 3, 7, 100, 999, 65535, 65536])
@pytest.mark.parametrize("m", [1, 2, 3, 112, 1023, 65535, 65536])
def test_weights_stay_below_one_up_to_the_largest_sizes(n: int, m: int) -> None:
    for mode in ("half-pixel", "half-pixel-zero"):
        axis = make_upsampling(mode, (n, 1), (m, 1)).rows
        assert axis.weights[:, 1].max() <= 1 - 2.0**-22


@given(
    seed=st.integers(0, 2**32),
    flavour=st.sampled_from(VALUES),
    cells=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_no_pixel_exceeds_its_corner_cells(
    seed: int, flavour: str, cells: tuple[int, int], size: tuple[int, int]
) -> None:
    """With rounding, at any magnitude, denormal to huge: the ground of counting from retained cells."""
    x = values(np.random.default_rng(seed), (3, 2, *cells), flavour)
    for table in tables(cells, size):
        if not (table.rows.lerp and table.columns.lerp):
            continue
        got = upsample(x, table)
        padded = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)]) if table.ring else x
        corners = []
        for i in (0, 1):
            for j in (0, 1):
                rows = np.minimum(table.rows.start + i, padded.shape[2] - 1)
                columns = np.minimum(table.columns.start + j, padded.shape[3] - 1)
                corners.append(padded[:, :, rows][:, :, :, columns])
        assert (got <= np.max(corners, axis=0)).all()
        assert (got >= np.min(corners, axis=0)).all()
        assert np.abs(got).max() <= HUGE


@given(
    seed=st.integers(0, 2**32),
    flavour=st.sampled_from(VALUES),
    cells=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_the_reference_does_the_stated_arithmetic(
    seed: int, flavour: str, cells: tuple[int, int], size: tuple[int, int]
) -> None:
    x = values(np.random.default_rng(seed), (1, 2, *cells), flavour)[0]
    for table in tables(cells, size):
        got = upsample(x, table)
        expected = np.stack([upsample_loop(m, table) for m in x])
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, expected)


def test_antialiased_pixels_without_a_tap_above_are_not_above() -> None:
    """Four cells at T, weights that add up to a little more than 1: above by rounding alone, so not above."""
    found = 0
    for n in range(3, 60):
        table = make_upsampling("pil", (n, 1), (2, 1))
        threshold = np.float32(0.7)
        x = np.full((n, 1), threshold, np.float32)
        found += bool((upsample(x, table) > threshold).any())
        assert not upsampled_mask(x, threshold, table).any()
    assert found  # the rule is needed


def test_unknown_modes_and_impossible_sizes() -> None:
    with pytest.raises(SettingError, match="'halfpixel'; nearest: half-pixel"):
        make_upsampling("halfpixel", (2, 2), (4, 4))
    for cells, size in (((0, 2), (4, 4)), ((2, 2), (4, 0)), ((2, 65537), (4, 4)), ((2, 2), (65537, 4))):
        with pytest.raises(SettingError, match="1 to 65536"):
            make_upsampling("half-pixel", cells, size)
    with pytest.raises(SettingError, match="needs the layer's fields"):
        make_upsampling("receptive-field", (2, 2), (4, 4))


@pytest.mark.parametrize(("cells", "size"), SIZES)
def test_reach_covers_every_tap(cells: tuple[int, int], size: tuple[int, int]) -> None:
    for table in tables(cells, size):
        assert table.reach == max(table.rows.taps, table.columns.taps) - 1 >= 1
