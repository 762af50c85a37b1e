from __future__ import annotations

from collections import OrderedDict

import pytest
import torch

from fastdissect.errors import ActivationError, LayerError, SettingError
from fastdissect.models import TokenGrid, as_map, output_tensor

T = torch.arange(6.0).view(1, 6)


@pytest.mark.parametrize(
    "output",
    [
        T,
        (T, T + 1),
        [None, T],
        {"a": T, "b": None},
        {"hidden_states": T + 1, "last_hidden_state": T},
        OrderedDict(aux=T + 1, out=T),
    ],
)
def test_the_tensor_is_picked_out(output: object) -> None:
    assert output_tensor(output, "x") is T


@pytest.mark.parametrize(
    ("output", "found"),
    [
        ({"a": T, "b": T}, r"'a': tensor \[1, 6\], 'b': tensor \[1, 6\]"),
        ({}, "dict \\(empty\\)"),
        ((None, 3), "tuple \\(NoneType, int\\)"),
        (None, "NoneType"),
        ({"a": (T,)}, "'a': tuple"),
    ],
)
def test_what_cannot_be_meant_is_listed(output: object, found: str) -> None:
    with pytest.raises(LayerError, match=f"layer 'enc.1'.*{found}"):
        output_tensor(output, "enc.1")


def numbered(*shape: int) -> torch.Tensor:
    return torch.arange(float(torch.Size(shape).numel())).view(shape)


def shares(view: torch.Tensor, tensor: torch.Tensor) -> bool:
    return view.untyped_storage().data_ptr() == tensor.untyped_storage().data_ptr()


def test_maps_and_vectors_are_views() -> None:
    maps = numbered(2, 3, 4, 5)
    assert as_map(maps, "x").map is maps
    channels_last = maps.permute(0, 2, 3, 1).contiguous()
    view = as_map(channels_last, "x", layout="NHWC").map
    assert torch.equal(view, maps)
    assert shares(view, channels_last)
    vector = numbered(2, 7)
    for layout in ("auto", "NCHW", "NHWC", "NTC"):
        view = as_map(vector, "x", layout).map
        assert view.shape == (2, 7, 1, 1)
        assert shares(view, vector)


@pytest.mark.parametrize(
    ("count", "tokens", "image_size", "prefix", "grid"),
    [
        (196, None, None, 0, (14, 14)),
        (197, None, (224, 224), 1, (14, 14)),
        (1, None, None, 0, (1, 1)),
        (2, None, None, 1, (1, 1)),
        (8, None, (32, 64), 0, (2, 4)),
        (7, None, (48, 32), 1, (3, 2)),
        (201, TokenGrid(prefix=5), None, 5, (14, 14)),
        (13, TokenGrid(grid=(3, 4)), None, 1, (3, 4)),
        (14, TokenGrid(2, (4, 3)), None, 2, (4, 3)),
    ],
)
def test_tokens_become_maps(
    count: int,
    tokens: TokenGrid | None,
    image_size: tuple[int, int] | None,
    prefix: int,
    grid: tuple[int, int],
) -> None:
    # a slice of a larger tensor, so that a hidden copy would show
    values = numbered(2, count + 3, 5)[:, 3:]
    view, explanation = as_map(values, "x", tokens=tokens, image_size=image_size)
    assert view.shape == (2, 5, *grid)
    assert shares(view, values)
    for y, x in [(0, 0), (grid[0] - 1, 0), (grid[0] - 1, grid[1] - 1)]:
        assert torch.equal(view[:, :, y, x], values[:, prefix + y * grid[1] + x])
    assert f"{grid[0]} x {grid[1]} grid" in explanation
    assert ("prefix" in explanation) == (prefix > 0)


@pytest.mark.parametrize(
    ("count", "tokens", "image_size", "message"),
    [
        (201, None, None, r"201 tokens; what would fit: TokenGrid with prefix=5 \(14 x 14\)"),
        (16, None, (32, 48), r"aspect \(32, 48\).*prefix=10 \(2 x 3\)"),
        (10, TokenGrid(prefix=0), None, "after prefix 0, got 10 tokens.*prefix=1"),
        (10, TokenGrid(1, (3, 4)), None, "prefix 1, grid 3 x 4"),
        (11, TokenGrid(grid=(3, 4)), None, "grid 3 x 4, got 11"),
    ],
)
def test_tokens_are_never_guessed(
    count: int, tokens: TokenGrid | None, image_size: tuple[int, int] | None, message: str
) -> None:
    with pytest.raises(LayerError, match=message):
        as_map(torch.zeros(1, count, 4), "x", tokens=tokens, image_size=image_size)


def test_the_advice_for_tokens_is_right() -> None:
    for count in range(3, 120):
        try:
            as_map(torch.zeros(1, count, 2), "x")
        except LayerError as error:
            prefix = int(str(error).split("prefix=")[1].split()[0])
            assert as_map(torch.zeros(1, count, 2), "x", tokens=TokenGrid(prefix=prefix)).map.ndim == 4


@pytest.mark.parametrize(
    ("tensor", "layout", "message"),
    [
        (torch.zeros(2), "auto", r"2, 3 or 4 dimensions.*\[2\]"),
        (torch.zeros(1, 2, 3, 4, 5), "auto", r"\[1, 2, 3, 4, 5\]"),
        (torch.zeros(1, 2, 3), "NCHW", "2 or 4 dimensions"),
        (torch.zeros(1, 2, 3, 4), "NTC", "2 or 3 dimensions"),
    ],
)
def test_other_shapes_are_errors(tensor: torch.Tensor, layout: str, message: str) -> None:
    with pytest.raises(LayerError, match=message):
        as_map(tensor, "x", layout)  # type: ignore[arg-type]


def test_windows_folded_into_the_batch_are_seen() -> None:
    with pytest.raises(LayerError, match=r"one entry an image \(2\).*\[128, 49, 96\]"):
        as_map(torch.zeros(128, 49, 96), "attn", images=2)


@pytest.mark.parametrize(
    ("dtype", "remedy"),
    [
        (torch.float64, r"float64; call .float\(\)"),
        (torch.int64, "int64; dissect a layer"),
        (torch.bool, "bool"),
    ],
)
def test_other_dtypes_are_errors_with_a_remedy(dtype: torch.dtype, remedy: str) -> None:
    with pytest.raises(ActivationError, match=remedy):
        as_map(torch.zeros(1, 2, dtype=dtype), "x")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_float_types_keep_theirs(dtype: torch.dtype) -> None:
    assert as_map(torch.zeros(1, 4, 2, dtype=dtype), "x").map.dtype == dtype


def test_settings_are_checked() -> None:
    with pytest.raises(SettingError, match="'NCWH'"):
        as_map(T, "x", "NCWH")  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="-1"):
        TokenGrid(prefix=-1)
    with pytest.raises(SettingError, match="grid"):
        TokenGrid(grid=(0, 3))
