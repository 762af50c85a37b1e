"""Tokens to maps on the real classes of transformers and timm, with random weights."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from token_cases import (
    TIMM,
    TRANSFORMERS,
    built,
    built_timm,
    images_with_patch,
    library,
    outputs,
    without_attention,
    without_spread,
)
from torch import Tensor, nn

from fastdissect.activations import LayerHooks
from fastdissect.errors import LayerError
from fastdissect.models import get_layer, load_model, output_tensor
from fastdissect.models.channel_parts import channel_part, channel_parts
from fastdissect.models.observing import observe
from fastdissect.models.readings import Readings

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
SIZES = [(32, 32), (32, 48), (48, 32)]
PLAIN = ["vit", "deit", "dinov2", "dinov2 with registers", "clip", "siglip", "beit"]
# ViT, CLIP and SigLIP interpolate their position embeddings if they are asked to; BEiT has a table for one size
ASKED = {"vit", "deit", "clip", "siglip"}


def interpolating(module: nn.Module) -> nn.Module:
    def ask(_module: nn.Module, arguments: Any, named: dict[str, Any]) -> Any:
        return arguments, {**named, "interpolate_pos_encoding": True}

    module.register_forward_pre_hook(ask, with_kwargs=True)
    return module


def network(name: str, size: tuple[int, int]) -> nn.Module:
    if name == "beit":
        return built(name, image_size=size)
    return interpolating(built(name)) if name in ASKED and size != (32, 32) else built(name)


def change(readings: Readings, name: str, plain: Tensor, bright: Tensor) -> Tensor:
    """How much each cell of each image's map differs: [2, h, w]."""
    reading = readings.of(name)
    maps = [reading.view(tensor, name, 2).map.float() for tensor in (plain, bright)]
    return (maps[1] - maps[0]).abs().amax(1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PLAIN)
def test_every_cell_of_a_vision_transformer_lies_where_its_patch_does(
    name: str, size: tuple[int, int]
) -> None:
    """Attention adds nothing: a patch changes its own cell in every layer, and no other."""
    module = without_attention(network(name, size))
    readings = observe(module, size)
    grid = size[0] // 8, size[1] // 8
    local = 0
    for place in [(0, 1), (grid[0] - 1, 0), (1, grid[1] - 1)]:
        plain, bright = images_with_patch(size, (8 * place[0], 8 * place[1], 8, 8))
        before, after = outputs(module, plain, output_tensor), outputs(module, bright, output_tensor)
        for layer in before:
            if isinstance(readings.calls[layer][0], LayerError):
                assert layer.endswith(("relative_position_bias", "position_embedding"))
                continue
            cells = change(readings, layer, before[layer], after[layer])
            assert not cells[1].any()  # the other image
            if cells.shape[1:] != grid:
                assert cells.shape[1:] == (1, 1)  # pooled
                continue
            changed = cells[0].nonzero().tolist()
            mixes = (
                layer.endswith(("attention", "self_attn", "o_proj", "out_proj"))
                or "attention.output" in layer
            )
            if not changed:
                assert mixes or "dropout" in layer or "drop_path" in layer or "layer_scale1" in layer, layer
                continue
            assert changed == [list(place)], layer
            local += 1
    assert local > 20


@pytest.mark.parametrize(("name", "prefix"), [(name, TRANSFORMERS[name][2]) for name in PLAIN])
def test_special_tokens_are_those_that_the_network_names(name: str, prefix: int) -> None:
    readings = observe(network(name, (32, 48)), (32, 48))
    found = {r[0].prefix for n, r in readings.calls.items() if n.startswith(("layers.", "encoder.layer"))
             and not isinstance(r[0], LayerError)}  # fmt: skip
    assert found == {prefix}
    last = readings.of(
        next(n for n in reversed(readings.calls) if n.endswith(("fc2", "mlp")) and "head" not in n)
    )
    assert last.grid == (4, 6)
    assert (f"{prefix} prefix token" in last.explanation) == (prefix > 0)
    assert "patch_embedding" in last.explanation


@pytest.mark.parametrize("size", [(32, 32), (26, 36), (42, 30)])
@pytest.mark.parametrize("source", ["transformers", "timm"])
def test_shifted_windows_are_put_back(source: str, size: tuple[int, int]) -> None:
    """Grids of 13 x 18 and 21 x 15 need padding in both stages; what is merged is halved, rounded up."""
    module = without_attention(built("swin") if source == "transformers" else built_timm("swin", size))
    readings = observe(module, size)
    grid = size[0] // 2, size[1] // 2
    seen: set[str] = set()
    for place in [(0, 0), (0, grid[1] - 1), (grid[0] - 2, 3), (6, grid[1] // 2)]:
        plain, bright = images_with_patch(size, (2 * place[0], 2 * place[1], 2, 2))
        before, after = outputs(module, plain, output_tensor), outputs(module, bright, output_tensor)
        for layer in before:
            if isinstance(readings.calls[layer][0], LayerError):
                assert any(part in layer for part in ("position_bias", "softmax", "attn_drop", "pooler")), (
                    layer
                )
                continue
            reading = readings.of(layer)
            cells = change(readings, layer, before[layer], after[layer])
            assert not cells[1].any()
            if reading.cells == (1, 1):
                continue
            assert reading.cells in (grid, (-(-grid[0] // 2), -(-grid[1] // 2))), layer
            expected = list(place) if reading.cells == grid else [place[0] // 2, place[1] // 2]
            assert cells[0].nonzero().tolist() in ([expected], []), layer
            if cells[0].any():
                seen.add(
                    reading.axes + (" shifted" if reading.windows and any(reading.windows.shift) else "")
                )
    assert {"windows", "windows shifted", "NTC", "NCHW"} <= seen
    assert ("NHWC" in seen) == (source == "timm")
    if source == "timm" and size != (32, 32):
        windows = [r[0].windows for r in readings.calls.values() if not isinstance(r[0], LayerError)]
        assert False in {w.padded_first for w in windows if w is not None and any(w.shift)}


@pytest.mark.parametrize("size", [(96, 96), (96, 160), (100, 68)])
@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("transformers", "convnext"),
        ("transformers", "segformer"),
        ("transformers", "resnet"),
        ("timm", "convnext"),
    ],
)
def test_maps_of_shrinking_stages_lie_on_the_image(source: str, name: str, size: tuple[int, int]) -> None:
    """Convolutions that overlap see their middle alone, so that a change stays where it is, at every stride."""
    module = built(name) if source == "transformers" else built_timm(name, size)
    module = without_spread(without_attention(module))
    readings = observe(module, size)
    axes: set[str] = set()
    for top, left in [(16, 32), (48, 16), (size[0] - 32, size[1] - 32)]:
        plain, bright = images_with_patch(size, (top, left, 16, 16))
        before, after = outputs(module, plain, output_tensor), outputs(module, bright, output_tensor)
        for layer in before:
            if isinstance(readings.calls[layer][0], LayerError):
                raise readings.calls[layer][0]
            cells = change(readings, layer, before[layer], after[layer])
            counts = cells.shape[1:]
            assert not cells[1].any()
            if counts == (1, 1) or not cells[0].any():
                continue
            axes.add(readings.of(layer).axes)
            for axis, first in enumerate((top, left)):
                stride = size[axis] / counts[axis]
                margin = 32 if "decode_head" in layer else stride  # it adds coarser maps, interpolated
                pixels = cells[0].nonzero()[:, axis] * stride
                assert pixels.min() >= first - margin, layer
                assert pixels.max() < first + 16 + margin, layer
    assert axes == {"segformer": {"NCHW", "NTC"}, "resnet": {"NCHW"}, "convnext": {"NCHW", "NHWC"}}[name]


def test_reduced_keys_of_segformer_have_their_own_grid() -> None:
    readings = observe(built("segformer"), (68, 92))
    keys = [n for n in readings.calls if n.endswith(("k_proj", ".key"))]
    assert [readings.of(n).cells for n in keys] == [(4, 5), (4, 6), (5, 6)]


@pytest.mark.parametrize("size", [(32, 32), (32, 48)])
@pytest.mark.parametrize("name", ["vit with registers", "deit"])
def test_timms_prefix_tokens(name: str, size: tuple[int, int]) -> None:
    module = without_attention(built_timm(name, size))
    readings = observe(module, size)
    assert readings.of("blocks.1.mlp.act").prefix == TIMM[name][2]
    assert readings.of("blocks.1.mlp.act").grid == (4, size[1] // 8)
    plain, bright = images_with_patch(size, (16, 8, 8, 8))
    before, after = outputs(module, plain, output_tensor), outputs(module, bright, output_tensor)
    for layer in ("patch_embed", "blocks.0", "blocks.1.attn.qkv", "blocks.1.mlp.act", "norm"):
        assert change(readings, layer, before[layer], after[layer])[0].nonzero().tolist() == [[2, 1]]
    for layer in ("blocks.0.attn.q_norm", "blocks.0.attn.k_norm"):
        with pytest.raises(LayerError, match="attention, head by head"):
            readings.of(layer)


def test_hooks_hand_on_what_the_hidden_states_are() -> None:
    module = built("dinov2 with registers")
    layer = next(n for n, _ in module.named_modules() if n.endswith(("layer.1", "layers.1")))
    hooks = LayerHooks(module, (layer, f"{layer}.norm1"))
    images = torch.rand(3, 3, 32, 48)
    found: dict[str, Any] = {}
    hooks.run(images, lambda name, view: found.__setitem__(name, np.array(view.data)))
    hidden = outputs(module, images, output_tensor)[layer]
    assert np.array_equal(found[layer], hidden[:, 4:].reshape(3, 4, 6, 16).permute(0, 3, 1, 2).numpy())
    assert "4 prefix tokens left out, 4 x 6 grid (1 class and 3 register" in hooks.explanations[layer]


def test_hooks_hand_on_windows_put_back() -> None:
    module = built("swin")
    layer = next(n for n, _ in module.named_modules() if n.endswith("layers.0.blocks.1"))
    hooks = LayerHooks(module, (f"{layer}.attention",))
    images = torch.rand(3, 3, 26, 36)
    found = {}
    hooks.run(images, lambda name, view: found.__setitem__(name, np.array(view.data)))
    # what the block adds to its input is the attention's output, put back by the block itself
    added = {}
    norm = get_layer(module, f"{layer}.layernorm_after")
    handle = norm.register_forward_pre_hook(lambda _m, arguments: added.setdefault("after", arguments[0]))
    with torch.no_grad():
        module(images)
    handle.remove()
    first = outputs(module, images, output_tensor)[layer.replace("blocks.1", "blocks.0")]
    put_back = (added["after"] - first).view(3, 13, 18, 8).permute(0, 3, 1, 2)
    assert torch.allclose(torch.from_numpy(found[f"{layer}.attention"]), put_back, atol=1e-5)
    assert "shifted by 2 x 2, put back in a copy: 13 x 18 grid" in hooks.explanations[f"{layer}.attention"]


def test_a_network_that_shuffles_its_patches_is_refused() -> None:
    TRANSFORMERS["mae"] = ("ViTMAEModel", {**TRANSFORMERS["vit"][1], "mask_ratio": 0.0}, 1)
    try:
        module = built("mae")
    finally:
        del TRANSFORMERS["mae"]
    readings = observe(module, (32, 32))
    assert readings.of("embeddings.patch_embeddings").grid == (4, 4)
    with pytest.raises(LayerError, match="shuffles"):
        readings.of(next(n for n in reversed(readings.calls) if n.endswith(("fc2", "output.dense"))))


def test_a_saved_model_runs_on_other_sizes(tmp_path: Path) -> None:
    module = built("vit")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module.save_pretrained(tmp_path)  # type: ignore[operator]
        loaded = load_model(f"transformers:{tmp_path}").module
    images = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(loaded(images).last_hidden_state, module(images).last_hidden_state)
        wide = loaded(torch.rand(1, 3, 32, 48)).last_hidden_state
    assert wide.shape == (1, 25, 16)
    assert observe(loaded, (48, 32)).of("layernorm").grid == (6, 4)


def test_queries_keys_values_and_heads_are_units_by_name() -> None:
    module = built_timm("vit with registers", (32, 48))
    names, parts = channel_parts(module, ["blocks.0", "blocks.*.attn.qkv:k", "blocks.1.attn.qkv:v.head1"])
    assert names == ["blocks.0"]
    assert list(parts) == ["blocks.0.attn.qkv:k", "blocks.1.attn.qkv:k", "blocks.1.attn.qkv:v.head1"]
    kept: dict[str, Tensor] = {}
    attention: Any = get_layer(module, "blocks.1.attn")
    attention.k_norm.register_forward_hook(lambda _m, _a, output: kept.__setitem__("k", output))
    images, found = torch.rand(2, 3, 32, 48), {}
    LayerHooks(module, tuple(parts), mixes=parts).run(
        images, lambda name, view: found.__setitem__(name, np.array(view.data))
    )
    with torch.no_grad():
        module(images)
    keys = kept["k"][:, :, 5:].transpose(1, 2).flatten(2).view(2, 4, 6, 16).permute(0, 3, 1, 2)
    assert np.array_equal(found["blocks.1.attn.qkv:k"], keys.numpy())
    assert (parts["blocks.1.attn.qkv:v.head1"].start, parts["blocks.1.attn.qkv:v.head1"].stop) == (40, 48)
    assert found["blocks.1.attn.qkv:v.head1"].shape == (2, 8, 4, 6)


def test_the_head_of_a_projection() -> None:
    module = built("vit")
    name = next(n for n, _ in module.named_modules() if n.endswith(("q_proj", "query")))
    part = channel_part(module, f"{name}:head1")
    assert (part.start, part.stop, part.units) == (8, 16, 8)
    with pytest.raises(LayerError, match="head0 to head1; got 'head2'"):
        channel_part(module, f"{name}:head2")


def test_the_mlp_before_and_after_its_activation_function() -> None:
    """Both are modules in transformers; the second is the function of the first."""
    module = built("vit")
    names = [n for n, _ in module.named_modules()]
    before = next((n for n in names if n.endswith(("mlp.fc1", "intermediate.dense"))), "")
    after = next((n for n in names if n.endswith(("activation_fn", "intermediate_act_fn"))), "")
    found: dict[str, Any] = {}
    LayerHooks(module, (before, after)).run(
        torch.rand(2, 3, 32, 32), lambda name, view: found.__setitem__(name, np.array(view.data))
    )
    expected = nn.functional.gelu(torch.from_numpy(found[before]))
    assert torch.allclose(torch.from_numpy(found[after]), expected, atol=1e-5)


def test_a_library_that_is_missing_skips() -> None:
    with pytest.raises(pytest.skip.Exception, match="is not installed"):
        library("a_library_that_there_is_not")
