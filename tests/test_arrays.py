from __future__ import annotations

import numpy as np
import pytest
import torch

from fastdissect.arrays import LAYOUTS, activation_view, owner
from fastdissect.errors import ActivationError, SettingError
from fastdissect.kernels.keys import widen

SHAPES = {"NCHW": (2, 5, 3, 4), "NHWC": (2, 3, 4, 5), "NTC": (2, 12, 5)}


def logical(x: np.ndarray, layout: str) -> np.ndarray:
    """[N, K, h, w], element by element."""
    n, k = x.shape[0], x.shape[1] if layout == "NCHW" else x.shape[-1]
    h, w = {"NCHW": x.shape[2:], "NHWC": x.shape[1:3], "NTC": (1, x.shape[1])}[layout]
    out = np.zeros((n, k, h, w), x.dtype)
    for i, u, y, c in np.ndindex(n, k, h, w):
        out[i, u, y, c] = {
            "NCHW": lambda i=i, u=u, y=y, c=c: x[i, u, y, c],
            "NHWC": lambda i=i, u=u, y=y, c=c: x[i, y, c, u],
            "NTC": lambda i=i, u=u, c=c: x[i, c, u],
        }[layout]()
    return out


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_numpy_arrays_are_viewed_in_place(layout: str, dtype: type) -> None:
    x = np.random.default_rng(0).normal(size=SHAPES[layout]).astype(dtype)
    view = activation_view(x, layout)
    np.testing.assert_array_equal(view.data, logical(x, layout))
    assert view.kind == np.dtype(dtype).name
    assert np.shares_memory(view.data, x)
    x[...] = 0
    assert not view.data.any()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_torch_tensors_are_viewed_in_place(layout: str, dtype: torch.dtype) -> None:
    tensor = (
        torch.randn(SHAPES[layout], generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()
    )
    view = activation_view(tensor, layout)
    assert view.kind == str(dtype).removeprefix("torch.")
    expected = logical(tensor.detach().float().numpy(), layout)
    np.testing.assert_array_equal(widen(view.data, view.kind), expected)
    with torch.no_grad():
        tensor.zero_()
    assert not view.data.any()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_fully_connected_layer_is_a_map_of_one_cell(layout: str) -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    data = activation_view(x, layout).data
    assert data.shape == (2, 3, 1, 1)
    assert data[1, 2, 0, 0] == 5


def test_any_strides() -> None:
    x = np.random.default_rng(0).normal(size=(4, 6, 5, 7)).astype(np.float32)
    for odd in (x[::-1, ::2, 1:, ::-3], x.transpose(1, 0, 3, 2), np.broadcast_to(x[:1], x.shape)):
        view = activation_view(odd)
        np.testing.assert_array_equal(view.data, odd)
        assert np.shares_memory(view.data, x)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((1, 2, 3, 3)), r"got float64; convert them knowingly, e.g. array.astype\(np.float32\)"),
        (np.zeros((1, 2, 3, 3), np.int32), r"got int32"),
        (np.zeros((1, 2, 3, 3), ">f4"), r"float32, float16 or bfloat16"),
        (torch.zeros(1, 2, 3, 3, dtype=torch.float64), r"got float64; .*tensor.float\(\)"),
        (torch.zeros(1, 2, 3, 3, dtype=torch.int64), r"got int64"),
        (torch.zeros(1, 2, 3, 3, device="meta"), r"on the CPU or a CUDA device; got a tensor on meta"),
        (
            torch.zeros(2, 3).to_sparse(),
            r"dense tensor; got layout torch.sparse_coo; pass tensor.to_dense\(\)",
        ),
        ([[1.0, 2.0]], r"numpy array, a torch tensor, or an array on a CUDA device; got list"),
        (np.zeros((2, 3, 4), np.float32), r"\[N, K, h, w\] for layout 'NCHW'.*\(2, 3, 4\); pass layout="),
        (np.zeros(3, np.float32), r"got shape \(3,\)"),
        (np.zeros((1, 1, 1, 1, 1), np.float32), r"got shape \(1, 1, 1, 1, 1\)"),
    ],
)
def test_what_cannot_be_read_says_so(array: object, message: str) -> None:
    with pytest.raises(ActivationError, match=message):
        activation_view(array)


def test_unaligned_memory_is_refused() -> None:
    raw = np.zeros(4 * 24 + 1, np.uint8)
    odd = np.frombuffer(raw.data, np.float32, 24, offset=1).reshape(1, 2, 3, 4)
    with pytest.raises(ActivationError, match=r"aligned.*ascontiguousarray"):
        activation_view(odd)
    fields = np.zeros((1, 2, 3, 4), [("a", np.float32), ("b", np.uint8)])["a"]  # steps of 5 bytes
    with pytest.raises(ActivationError, match="aligned"):
        activation_view(fields)


def test_a_wrong_layout_is_named() -> None:
    with pytest.raises(SettingError, match="NCHW, NHWC, NTC; got 'CHWN'"):
        activation_view(np.zeros((1, 2, 3, 4), np.float32), "CHWN")
    with pytest.raises(ActivationError, match=r"\[N, T, K\] for layout 'NTC'"):
        activation_view(np.zeros((1, 2, 3, 4), np.float32), "NTC")


def test_owner() -> None:
    assert owner(np.zeros(1)) == "numpy"
    assert owner(torch.zeros(1)) == owner(torch.nn.Parameter(torch.zeros(1))) == "torch"
