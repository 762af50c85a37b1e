"""How outputs lie, found on one watched pass: grids, special tokens, channels first or last, windows."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from fastdissect.activations import LayerHooks
from fastdissect.errors import LayerError, ModelError
from fastdissect.models import TokenGrid
from fastdissect.models.channel_parts import channel_part, channel_parts
from fastdissect.models.layouts import may_mix_layouts
from fastdissect.models.observing import observe
from fastdissect.models.shifted_windows import ShiftedWindows


class Tokens(nn.Module):
    """Patches of 8 x 8 pixels, `named` class tokens and registers, and more tokens that nothing names."""

    def __init__(self, registers: int = 0, unnamed: int = 0, named: bool = True) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 12, 8, 8)
        if named:
            self.cls_token = nn.Parameter(torch.zeros(1, 1, 12))
        if registers:
            self.register_tokens = nn.Parameter(torch.zeros(1, registers, 12))
        self.unnamed = unnamed
        self.norm = nn.LayerNorm(12)
        self.mlp = nn.Sequential(nn.Linear(12, 20), nn.GELU())

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        extra = [x.new_zeros(len(x), self.unnamed, 12)]
        for name in ("cls_token", "register_tokens"):
            if hasattr(self, name):
                extra.append(getattr(self, name).expand(len(x), -1, -1))
        return self.mlp(self.norm(torch.cat([*extra, x], 1)))  # type: ignore[no-any-return]


def test_named_tokens_are_left_out_and_the_convolution_gives_the_grid() -> None:
    for registers, size in itertools.product((0, 4), ((32, 32), (24, 80), (37, 20))):
        reading = observe(Tokens(registers).eval(), size).of("mlp.1")
        assert (reading.prefix, reading.grid) == (1 + registers, (size[0] // 8, size[1] // 8))
        assert "the grid of patches" in reading.explanation
    assert "1 class and 4 register" in observe(Tokens(4).eval(), (32, 32)).of("mlp").explanation


def test_twenty_five_tokens_are_no_square() -> None:
    """24 patches lie in 4 x 6 or 3 x 8; with a class token they would fill a 5 x 5 square."""
    assert observe(Tokens().eval(), (32, 48)).of("norm").grid == (4, 6)
    assert observe(Tokens().eval(), (24, 64)).of("norm").grid == (3, 8)


def test_a_single_unnamed_token_is_a_guess_that_says_so_and_more_are_an_error_with_the_override() -> None:
    guess = observe(Tokens(unnamed=1, named=False).eval(), (32, 48)).of("norm")
    assert (guess.prefix, guess.grid) == (1, (4, 6))
    assert "guessed to be a class token" in guess.explanation
    net = Tokens(registers=2, unnamed=3).eval()
    with pytest.raises(
        LayerError,
        match=r"4 x 6 = 24\) with 1 class and 2 register tokens, got 30 tokens.*--tokens prefix=6,grid=4x6",
    ):
        observe(net, (32, 48)).of("norm")
    for tokens in (TokenGrid(6), TokenGrid(6, (4, 6)), TokenGrid(grid=(4, 6))):
        reading = observe(net, (32, 48), tokens=tokens).of("norm")
        assert (reading.prefix, reading.grid) == (6, (4, 6))
        assert "as given" in reading.explanation
    with pytest.raises(LayerError, match="grid 5 x 7"):
        observe(net, (32, 48), tokens=TokenGrid(grid=(5, 7))).of("norm")


def test_a_prefix_alone_takes_the_networks_grid_where_the_aspect_would_fail() -> None:
    """37 x 50 pixels give 4 x 6 patches, whose sides are not as the image's."""
    assert observe(Tokens(4).eval(), (37, 50), tokens=TokenGrid(5)).of("norm").grid == (4, 6)


class Block(nn.Module):
    """ConvNeXt's: channels first outside, last inside; `drop` and what the block gives have no type that tells."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.LayerNorm(channels)
        self.wide = nn.Linear(channels, 4 * channels)
        self.act = nn.GELU()
        self.narrow = nn.Linear(4 * channels, channels)
        self.drop = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        inside = self.act(self.wide(self.norm(self.spatial(x).permute(0, 2, 3, 1))))
        return x + self.drop(self.narrow(inside).permute(0, 3, 1, 2))  # type: ignore[no-any-return]


def blocks(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, channels, 4, 4), Block(channels), Block(channels)).eval()


def test_channels_first_and_last_are_told_apart_by_type_and_neighbours() -> None:
    found = observe(blocks(6), (32, 48))
    axes = {name: found.of(name).axes for name in found.calls}
    last = {"norm", "wide", "act", "narrow"}
    assert axes == {name: "NHWC" if name.rpartition(".")[2] in last else "NCHW" for name in axes}
    assert all(found.of(name).cells == (8, 12) for name in axes)


def test_neighbours_that_differ_are_an_error_that_names_the_override() -> None:
    """8 channels on 8 x 8 cells: channels first and last have the same shape."""
    found = observe(blocks(8), (32, 32))
    for name, axes in [("1.norm", "NHWC"), ("1.act", "NHWC"), ("1.spatial", "NCHW")]:
        assert found.of(name).axes == axes
    with pytest.raises(LayerError, match=r"neighbours that agree.*--layout NCHW or NHWC"):
        found.of("1")
    with pytest.raises(LayerError, match=r"one reading, got shape.*--layout NCHW or NHWC"):
        found.of("1.drop")
    for layout in ("NCHW", "NHWC"):
        assert observe(blocks(8), (32, 32), layout=layout).of("1.drop").axes == layout  # type: ignore[arg-type]


def test_what_no_neighbour_tells_is_told_by_the_grid_or_refused() -> None:
    class Last(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.permute(0, 2, 3, 1) * 2

    def net(channels: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(3, channels, 4, 4), Last(), nn.LayerNorm(channels)).eval()

    assert observe(net(5), (16, 24)).of("1").axes == "NHWC"
    with pytest.raises(LayerError, match=r"one reading.*--layout NCHW or NHWC"):
        observe(net(4), (16, 16), layout="auto").of("1")


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
    st.booleans(),
)
def test_windows_are_undone_as_a_loop_does_it(
    grid: tuple[int, int], window: tuple[int, int], shift: tuple[int, int], padded_first: bool
) -> None:
    shift = min(shift[0], window[0] - 1), min(shift[1], window[1] - 1)
    maps = torch.arange(2.0 * 3 * grid[0] * grid[1]).view(2, *grid, 3) + 1
    pad = (0, 0, 0, -grid[1] % window[1], 0, -grid[0] % window[0])
    back = (-shift[0], -shift[1])
    if padded_first:
        moved = torch.roll(nn.functional.pad(maps, pad), back, (1, 2))
    else:
        moved = nn.functional.pad(torch.roll(maps, back, (1, 2)), pad)
    cut = [
        moved[n, top : top + window[0], left : left + window[1]].reshape(-1, 3)
        for n in range(2)
        for top in range(0, moved.shape[1], window[0])
        for left in range(0, moved.shape[2], window[1])
    ]
    folded = torch.stack(cut)
    windows = ShiftedWindows(grid, window, shift, padded_first)
    assert windows.fit(tuple(folded.shape), 2)
    assert torch.equal(windows.cells_of(folded, 2), maps.permute(0, 3, 1, 2))
    windows.put_back(folded, -maps.permute(0, 3, 1, 2))
    assert torch.equal(windows.cells_of(folded, 2), -maps.permute(0, 3, 1, 2))
    assert (folded >= 0).sum() == folded.numel() - maps.numel()  # padding keeps its zeros


class Windows(nn.Module):
    """A block that cuts its input into shifted windows; `honest` ones come row by row."""

    def __init__(self, window: int = 4, shift: int = 2, honest: bool = True) -> None:
        super().__init__()
        self.window_size, self.shift_size, self.honest = window, shift, honest
        self.norm = nn.LayerNorm(6)
        self.attention = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        n, height, width, channels = x.shape
        side = self.window_size
        moved = nn.functional.pad(self.norm(x), (0, 0, 0, -width % side, 0, -height % side))
        moved = torch.roll(moved, (-self.shift_size, -self.shift_size), (1, 2))
        down, across = moved.shape[1] // side, moved.shape[2] // side
        cut = moved.view(n, down, side, across, side, channels)
        order = (0, 1, 3, 2, 4, 5) if self.honest else (0, 3, 1, 2, 4, 5)
        self.attention(cut.permute(*order).reshape(-1, side * side, channels))
        return x + 1


class ChannelsLast(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1)


def windowed(**settings: Any) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 2, 2), ChannelsLast(), Windows(**settings)).eval()


@pytest.mark.parametrize(
    "size", [(16, 24), (18, 22), (6, 8)]
)  # 8 x 12 cells; 9 x 11, padded; 3 x 4, one window
def test_windows_are_proven_and_put_back(size: tuple[int, int]) -> None:
    net = windowed()
    found = observe(net, size)
    reading = found.of("2.attention")
    assert reading.axes == "windows"
    assert not reading.in_place
    images = torch.rand(3, 3, *size)
    seen: dict[str, Any] = {}
    LayerHooks(net, ("2.attention",)).run(
        images, lambda name, view: seen.__setitem__(name, np.array(view.data))
    )
    with torch.no_grad():
        expected = net[2].attention(net[2].norm(net[:2](images))).permute(0, 3, 1, 2)
    assert torch.allclose(torch.from_numpy(seen["2.attention"]), expected, atol=1e-6)


def test_windows_that_are_not_proven_are_an_error_that_names_the_block() -> None:
    for net in (windowed(honest=False), windowed(shift=1)):
        if isinstance(net[2], Windows) and net[2].honest:
            net[2].shift_size = 1
            net[2].window_size = 4
            assert observe(net, (16, 24)).of("2.attention").windows is not None
            continue
        with pytest.raises(LayerError, match=r"one entry an image \(2\).*\[12, 16, 6\].*dissect '2'"):
            observe(net, (16, 24)).of("2.attention")


def test_a_layers_output_must_stay_as_it_was_seen() -> None:
    reading = observe(blocks(6), (32, 48)).of("1.norm")
    with pytest.raises(LayerError, match=r"\['N', 8, 12, 6\].*got \[2, 6, 8, 12\]"):
        reading.view(torch.zeros(2, 6, 8, 12), "1.norm", 2)


def test_writing_back_touches_cells_alone() -> None:
    net = Tokens(2).eval()
    reading, output = observe(net, (16, 24)).of("norm"), torch.zeros(2, 9, 12)
    reading.put_back(output, torch.ones(2, 12, 2, 3), "norm")
    assert output[:, :3].sum() == 0
    assert (output[:, 3:] == 1).all()


def test_attention_and_sequences_are_no_maps() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.num_heads, self.weights, self.drop = 2, nn.Softmax(-1), nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            x = x.flatten(2).transpose(1, 2)
            heads = x.view(len(x), x.shape[1], 2, -1).transpose(1, 2)
            self.drop(self.weights(heads @ heads.transpose(2, 3)))
            return x

    net = nn.Sequential(
        nn.Conv2d(3, 6, 4, 4), nn.Identity(), Attention(), nn.LayerNorm(6), nn.Flatten(2)
    ).eval()
    found = observe(net, (16, 24))
    for name, message in [("2.weights", "head by head"), ("4", "units first")]:
        with pytest.raises(LayerError, match=message):
            found.of(name)
    with pytest.raises(LayerError, match="got none"):
        found.of("5")


def test_a_network_that_needs_no_watching_is_read_as_it_is_dissected() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.ReLU(), nn.Flatten(2), nn.Flatten()).eval()
    found = observe(net, (16, 16))
    assert [found.of(str(n)).axes for n in range(4)] == ["NCHW", "NCHW", "NTC", "NK"]
    for name in ("0", "2", "3"):
        hooks = LayerHooks(net, (name,))
        view = hooks.probe(torch.zeros(1, 3, 16, 16))[name]
        assert hooks.explanations[name] == found.of(name).explanation
        assert tuple(view.data.shape[1:]) == (found.of(name).units, *found.of(name).cells)


def test_only_networks_that_may_need_it_are_watched() -> None:
    assert may_mix_layouts(Tokens())
    assert may_mix_layouts(blocks(4))
    assert not may_mix_layouts(
        nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    )


def test_the_pass_leaves_the_network_and_the_generators_as_they_are() -> None:
    net, state = Tokens().eval(), torch.get_rng_state()
    observe(net, (16, 16))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(not part._forward_hooks and not part._forward_pre_hooks for part in net.modules())
    with pytest.raises(ModelError, match="an image of 4 x 4 pixels, 3 channels"):
        observe(net, (4, 4))
    assert all(not part._forward_hooks and not part._forward_pre_hooks for part in net.modules())


def test_hooks_read_as_the_watched_pass_says() -> None:
    net = Tokens(registers=4).eval()
    hooks = LayerHooks(net, ("norm", "mlp.1"))
    hooks.run(torch.rand(3, 3, 32, 48), lambda name, view: None)
    found = observe(net, (32, 48))
    assert hooks.explanations == {name: found.of(name).explanation for name in ("norm", "mlp.1")}
    with pytest.raises(LayerError, match="--tokens prefix=6,grid=4x6"):
        LayerHooks(Tokens(2, 3).eval(), ("norm",)).probe(torch.zeros(1, 3, 32, 48))
    hooks = LayerHooks(Tokens(2, 3).eval(), ("norm",), tokens=TokenGrid(6))
    assert hooks.probe(torch.zeros(1, 3, 32, 48))["norm"].data.shape == (2, 12, 4, 6)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("qkv:q", "fused projection is known.*ModuleDict"),
        ("q_proj:head2", "head0 to head1; got 'head2'"),
        ("q_proj:heads", "got 'heads'"),
        ("out:head0", "mix all heads"),
        ("q_proj:q.head0", "part of queries"),
        ("zzz:q", "unknown layer 'zzz'"),
    ],
)
def test_parts_that_cannot_be_meant(name: str, message: str) -> None:
    net = nn.ModuleDict({"qkv": nn.Linear(8, 24), "q_proj": nn.Linear(8, 8), "out": nn.Linear(8, 8)})
    net.num_heads = 2  # type: ignore[assignment]
    with pytest.raises(LayerError, match=message):
        channel_part(net, name)


def test_parts_are_views() -> None:
    net = nn.ModuleDict({"q_proj": nn.Linear(8, 8)})
    net.num_heads = 2  # type: ignore[assignment]
    part = channel_parts(net, ["*:head1"])[1]["q_proj:head1"]
    maps = torch.rand(2, 8, 3, 3)
    assert part(maps).data_ptr() == maps[:, 4:].data_ptr()
    assert torch.equal(part(maps), maps[:, 4:])
    assert part.record() == {"layer": "q_proj", "channels": [4, 8]}
    with pytest.raises(LayerError, match="at least 8 channels, got 6"):
        part(maps[:, :6])
