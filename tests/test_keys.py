from __future__ import annotations

import numpy as np
import pytest

from fastdissect.kernels.keys import LOWEST, NO_BOUND, from_keys, keys, widen


def floats() -> np.ndarray:
    """Random bits (no NaN), and the values at every edge."""
    bits = np.random.default_rng(0).integers(0, 2**32, 20000, dtype=np.uint32)
    edges = np.array([0, 1, 0x7FFFFF, 0x800000, 0x3F800000, 0x7F000000, 0x7F7FFFFF, 0x7F800000], np.uint32)
    x = np.concatenate([bits, edges, edges | np.uint32(0x80000000)]).view(np.float32)
    return x[~np.isnan(x)]


def test_keys_have_the_order_of_the_floats() -> None:
    x = np.sort(floats())
    k = keys(x).astype(np.int64)
    np.testing.assert_array_equal(x[1:] > x[:-1], np.diff(k) > 0)
    assert (np.diff(k) >= 0).all()


def test_both_zeros_share_a_key_and_nothing_else_does() -> None:
    x = floats()
    assert keys(np.float32([0.0]))[0] == keys(np.float32([-0.0]))[0] == 0x80000000
    assert len(np.unique(keys(x))) == len(np.unique(x))


def test_from_keys_gives_the_float_back() -> None:
    x = floats()
    back = from_keys(keys(x))
    np.testing.assert_array_equal(back, x)
    assert not np.signbit(back[x == 0]).any()


def test_no_key_is_below_that_of_minus_infinity() -> None:
    assert keys(np.float32([-np.inf]))[0] == LOWEST == keys(floats()).min()
    assert NO_BOUND < LOWEST


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_16_bit_types_widen_exactly(kind: str) -> None:
    """Every bit pattern, against its value worked out from sign, exponent and mantissa in Python."""
    mantissa_bits, bias = (10, 15) if kind == "float16" else (7, 127)
    pattern = np.arange(65536, dtype=np.uint16)
    wide = widen(pattern.view(np.float16) if kind == "float16" else pattern, kind)
    for bits in range(65536):
        mantissa, exponent = bits & (1 << mantissa_bits) - 1, bits >> mantissa_bits & 2 * bias + 1
        if exponent == 2 * bias + 1:
            magnitude = np.inf if mantissa == 0 else np.nan
        else:
            hidden = 1 << mantissa_bits if exponent else 0
            magnitude = (hidden + mantissa) * 2.0 ** (max(exponent, 1) - bias - mantissa_bits)
        expected = -magnitude if bits >> 15 else magnitude
        assert wide[bits] == expected or (np.isnan(wide[bits]) and np.isnan(expected)), bits
        assert np.signbit(wide[bits]) == bool(bits >> 15)
