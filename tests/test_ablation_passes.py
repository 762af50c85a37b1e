"""Changing units in every layout, and replaying: the same bits as whole passes, whatever the network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fastdissect.errors import ActivationError, LayerError, SettingError
from fastdissect.methods.ablation import replay as ablation_replay
from fastdissect.methods.ablation.edit import LayerReading, checked_mode
from fastdissect.methods.ablation.passes import EditedPasses
from fastdissect.methods.ablation.replay import skippable
from fastdissect.methods.tracing import replaced
from fastdissect.models import TokenGrid

CPU = torch.device("cpu")
UNITS = 6
IMAGES = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
MEANS = torch.linspace(-1, 2, UNITS, dtype=torch.float64)


class Pair(NamedTuple):
    rest: Any
    tensor: Tensor


class Shaped(nn.Module):
    """Gives a map in some layout."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form

    def forward(self, x: Tensor) -> Any:
        tokens = x.flatten(2).transpose(1, 2)
        return {
            "NCHW": x,
            "NHWC": x.permute(0, 2, 3, 1),
            "contiguous NHWC": x.permute(0, 2, 3, 1).contiguous(),
            "channels last": x.contiguous(memory_format=torch.channels_last),
            "tokens": tokens,
            "class token": torch.cat([tokens.mean(1, keepdim=True), tokens], 1),
            "vector": x.mean((2, 3)),
            "tuple": (None, x, 3),
            "named tuple": Pair(None, x),
            "dict": {"other": None, "out": x},
            "expanded": x[:, :, :1, :1].expand(x.shape),
        }[self.form]


class Reads(nn.Module):
    """Reads the map again, in its layout, and decides."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form, self.head = form, nn.Linear(UNITS, 4)

    def forward(self, given: Any) -> Tensor:
        out: Tensor = self.head(pooled(self.form, given))
        return out


def pooled(form: str, given: Any) -> Tensor:
    x = {"tuple": 1, "named tuple": 1, "dict": "out"}.get(form)
    tensor: Tensor = given if x is None else given[x]
    if form == "class token":
        return tensor.mean(1) + tensor[:, 0]
    if "NHWC" in form:
        return tensor.mean((1, 2))
    return tensor if form == "vector" else tensor.mean(1 if tensor.ndim == 3 else (2, 3))


def network(form: str) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, UNITS, 5, 4, 2), Shaped(form), Reads(form)).eval()


def by_hand(net: nn.Sequential, form: str, units: list[int], mode: Any) -> Tensor:
    """The same, written down: change the map, then the rest of the network; a class token is not changed."""
    with torch.inference_mode():
        x = net[0](IMAGES)
        new = x.clone()
        for k in units:
            new[:, k] = (
                {"zero": 0.0, "mean": float(MEANS[k])}[mode] if isinstance(mode, str) else x[:, k] * mode
            )
        if form == "expanded":  # every cell is the first one
            new[:, units] = new[:, units][:, :, :1, :1]
        if form == "vector":
            given: Any = x.mean((2, 3))
            scale = {"zero": 0.0, "mean": 0.0}.get(mode, mode)
            given[:, units] = given[:, units] * scale + (MEANS[units].float() if mode == "mean" else 0)
        else:
            given = net[1](new)
            if form == "class token":
                given = torch.cat([net[1](x)[:, :1], given[:, 1:]], 1)
        out: Tensor = net[2](given)
        return out.double()


def passes(net: nn.Module, layer: str, mode: Any = "zero", **more: Any) -> EditedPasses:
    reading = LayerReading(
        layer, more.pop("units", UNITS), more.pop("layout", "auto"), more.pop("tokens", None)
    )
    return EditedPasses(net, reading, mode, CPU, means=MEANS, **more)


FORMS = (
    *("NCHW", "NHWC", "contiguous NHWC", "channels last", "tokens", "class token", "vector"),
    *("tuple", "named tuple", "dict", "expanded"),
)


@pytest.mark.parametrize("mode", ["zero", "mean", 0.5, -2.0])
@pytest.mark.parametrize("form", FORMS)
def test_the_rest_of_the_network_runs_on_the_changed_map(form: str, mode: Any) -> None:
    net = network(form)
    layout = "NHWC" if "NHWC" in form else "auto"
    groups = [[2], [0, 5], [], list(range(UNITS))]
    for replay in (False, True):
        tokens = TokenGrid(prefix=1) if form == "class token" else None
        found = list(
            passes(net, "1", mode, layout=layout, tokens=tokens, replay=replay).logits(IMAGES, groups)
        )
        with torch.inference_mode():
            assert torch.equal(found[0], net(IMAGES).double())
        assert torch.equal(found[3], found[0])  # an empty group changes no bit
        for units, logits in zip(groups, found[1:], strict=True):
            torch.testing.assert_close(logits, by_hand(net, form, units, mode), rtol=1e-6, atol=1e-6)
        assert not torch.equal(found[1], found[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("form", [form for form in FORMS if form != "expanded"])  # it cannot be written to
def test_scale_one_changes_no_bit(form: str, dtype: torch.dtype) -> None:
    net = network(form).to(dtype)
    layout = "NHWC" if "NHWC" in form else "auto"
    whole, changed = passes(net, "1", 1.0, layout=layout).logits(IMAGES, [range(UNITS)])
    assert torch.equal(whole, changed)


def test_what_else_was_returned_stays() -> None:
    old, new = torch.zeros(2), torch.ones(2)
    pair = replaced(Pair("rest", old), old, new)
    assert type(pair) is Pair
    assert pair.rest == "rest"
    assert pair.tensor is new
    given = {"a": old, "b": 3}
    assert replaced(given, old, new) == {"a": new, "b": 3}
    assert given["a"] is old
    assert replaced([None, old], old, new) == [None, new]


class Residual(nn.Module):
    """Adds in place, uses one ReLU in several places, and joins an early map to a late one."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, UNITS, 3, 2, 1)
        self.relu = nn.ReLU(inplace=True)
        self.block1 = Block()
        self.block2 = Block()
        self.blocks = nn.Sequential(Block(), self.relu, nn.Sequential(Block(), nn.Tanh(), Block()), nn.ReLU())
        self.head = nn.Linear(2 * UNITS, 4)

    def forward(self, x: Tensor) -> Tensor:
        early = self.relu(self.stem(x))
        x = self.block2(self.block1(early))
        x = self.blocks(x)
        x = self.relu(x - 0.1)
        out: Tensor = self.head(torch.cat([early, x], 1).mean((2, 3)))
        return out


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm = nn.Conv2d(UNITS, UNITS, 3, padding=1), nn.BatchNorm2d(UNITS)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(UNITS, UNITS, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv2(self.relu(self.norm(self.conv1(x))))
        out += x
        return self.relu(out)


class Shares(Residual):
    """An activation that is called inside a block, where replays do not come, and by the network itself."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.Sigmoid()  # type: ignore[assignment]
        self.block1.relu = self.relu
        self.blocks[2][0].relu = self.relu


class Discards(Residual):
    """Relies on the in-place effect of a module whose result it does not use: a replay gives other bits."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        self.relu(x)
        early = x * 1
        x = self.blocks(self.block2(self.block1(early)))
        out: Tensor = self.head(torch.cat([early, x], 1).mean((2, 3)))
        return out


class Wrapped:
    def __init__(self, x: Tensor) -> None:
        self.x = x


class Wraps(nn.Module):
    def forward(self, x: Tensor) -> Wrapped:
        return Wrapped(x)


class Unknown(Residual):
    """A module before the layer returns something that cannot be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.wrap = Wraps()

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.wrap(x).x)


LAYERS = (
    "stem",
    "block1",
    "block1.norm",
    "block2.conv2",
    "blocks",
    "blocks.2",
    "blocks.2.1",
    "blocks.2.2.conv1",
    "blocks.3",
)


def seeded(build: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(1)
    return build().eval()


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("build", [Residual, Shares, Discards, Unknown])
def test_a_replay_gives_the_bits_of_a_whole_pass(build: Callable[[], nn.Module], layer: str) -> None:
    net = seeded(build)
    groups = [[k] for k in range(UNITS)] + [[0, 1, 2], list(range(UNITS))]
    whole = list(passes(net, layer, replay=False).logits(IMAGES, groups))
    own = passes(net, layer)
    found = list(own.logits(IMAGES, groups))
    for one, other in zip(found, whole, strict=True):
        assert torch.equal(one, other)
    assert len({tuple(x.flatten().tolist()) for x in whole[1:7]}) > 1
    assert all("forward" not in vars(module) for module in net.modules())  # nothing stays behind
    assert all(not module._forward_hooks for module in net.modules())
    if build in (Residual, Shares):
        assert own.recording is not None


def test_replays_are_given_up_where_they_give_other_bits() -> None:
    for build, layer in ((Discards, "block2"), (Unknown, "block1")):
        own = passes(seeded(build), layer)
        list(own.logits(IMAGES, [[0]]))
        assert own.recording is None


def test_a_network_that_decides_by_chance_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    class Random(Residual):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.dropout(super().forward(x), 0.5, training=True)

    for build, warned in ((Random, True), (Discards, False)):
        caplog.clear()
        own = passes(seeded(build), "block2")
        for first in (0, 1):
            list(own.logits(IMAGES[first : first + 1], [[0]]))
        assert own.recording is None
        assert [r.levelname for r in caplog.records if "other logits each time" in r.getMessage()] == (
            ["WARNING"] if warned else []
        )


def test_what_comes_before_is_not_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    net, calls = seeded(Residual), []
    for name, module in net.named_modules():
        if name:
            module.register_forward_pre_hook(lambda _m, _a, name=name: calls.append(name))
    groups = [[k] for k in range(UNITS)]
    stems = []
    net.block1.conv1.register_forward_hook(lambda *_: stems.append(1))
    net.blocks[0].conv1.register_forward_hook(lambda *_: stems.append(2))
    list(passes(net, "blocks.2").logits(IMAGES, groups))
    assert stems == [1, 2]  # once each; inside modules that are replayed
    assert calls.count("blocks.3") == 2 + len(groups)  # intact, checked, changed
    assert calls.count("blocks.2.0.conv1") == 1
    monkeypatch.setattr(ablation_replay, "LIMIT", 1000)
    small = passes(net, "blocks.2")
    list(small.logits(IMAGES, groups[:1]))
    assert small.recording is None  # the outputs would take too much


def test_in_a_sequence_only_the_last_before_is_kept() -> None:
    found, unread = skippable(Residual(), "blocks.2.2")
    assert unread == {"blocks.2.0", "blocks.2.1", "blocks.0"}  # the shared ReLU stands elsewhere too
    assert set(found) == {
        *(
            "stem",
            "relu",
            "block1",
            "block2",
            "head",
            "blocks.0",
            "blocks.3",
            "blocks.2.0",
            "blocks.2.1",
            "blocks.2.2",
        ),
    }


def test_a_forward_of_someone_else_is_put_back() -> None:
    net = seeded(Residual)
    plain = net.stem.forward

    def forward(x: Tensor) -> Tensor:
        return plain(x) * 2

    net.stem.forward = forward  # type: ignore[method-assign]
    with torch.inference_mode():
        expected = net(IMAGES).double()
    assert torch.equal(next(passes(net, "block2").logits(IMAGES, [])), expected)
    assert net.stem.forward is forward


def test_autocast_as_the_run_had_it() -> None:
    from fastdissect.forward_options import ForwardOptions

    net = seeded(Residual)
    found = list(passes(net, "block2", options=ForwardOptions("bfloat16")).logits(IMAGES, [[0]]))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(found[0], net(IMAGES).double())
    assert not torch.equal(found[0], next(passes(net, "block2").logits(IMAGES, [])))


class InPlace(nn.Module):
    """Its activation works in place; what that returns is used, or what it was given."""

    def __init__(self, returned: bool) -> None:
        super().__init__()
        self.conv, self.relu, self.head = (
            nn.Conv2d(3, UNITS, 5, 4),
            nn.ReLU(inplace=True),
            nn.Linear(UNITS, 4),
        )
        self.returned = returned

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        y = self.relu(x)
        out: Tensor = self.head(torch.relu((y if self.returned else x) - 0.1).amax((2, 3)))
        return out


@pytest.mark.parametrize("replay", [False, True])
@pytest.mark.parametrize("returned", [True, False])
def test_a_layer_that_works_in_place(returned: bool, replay: bool) -> None:
    torch.manual_seed(0)
    net = InPlace(returned).eval()
    found = list(passes(net, "relu", replay=replay).logits(IMAGES, [[1, 4], list(range(UNITS))]))
    with torch.inference_mode():
        changed = torch.relu(net.conv(IMAGES))
        changed[:, [1, 4]] = 0
        expected = net.head(torch.relu(changed - 0.1).amax((2, 3)))
    assert torch.equal(found[1], expected.double())
    assert torch.equal(found[2], net.head.bias.detach().double().expand(len(IMAGES), -1))
    assert not torch.equal(found[0], found[1])


def test_a_layer_that_works_in_place_in_a_sequence_is_replayed() -> None:
    torch.manual_seed(0)
    pool = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(UNITS, 4))
    net = nn.Sequential(nn.Conv2d(3, UNITS, 5, 4), nn.ReLU(inplace=True), *pool).eval()
    own = passes(net, "1")
    _, found = own.logits(IMAGES, [[1, 4]])
    assert own.recording is not None
    with torch.inference_mode():
        x = net[0](IMAGES).relu()
        x[:, [1, 4]] = 0
        assert torch.equal(found, net[4](x.mean((2, 3))).double())


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.unused = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.conv(x)).mean((2, 3))


def test_layers_that_cannot_be_ablated() -> None:
    with pytest.raises(LayerError, match="one call a forward pass; got 2"):
        list(passes(Twice(), "conv", units=3).logits(IMAGES, [[0]]))
    with pytest.raises(LayerError, match="got none"):
        list(passes(Twice(), "unused", units=3).logits(IMAGES, [[0]]))
    with pytest.raises(LayerError, match="expected 5 units, as the run has them; got 6"):
        list(passes(seeded(Residual), "block1", units=5).logits(IMAGES, [[0]]))
    maps = nn.Sequential(nn.Conv2d(3, UNITS, 3), nn.ReLU())
    with pytest.raises(LayerError, match=r"expected logits \[n, classes\]"):
        list(passes(maps, "0").logits(IMAGES, [[0]]))


def test_logits_that_are_no_numbers() -> None:
    class Norm(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x = x.mean((2, 3))
            return x / x.norm(dim=1, keepdim=True)

    net = nn.Sequential(nn.Conv2d(3, UNITS, 3), nn.ReLU(), Norm())
    with pytest.raises(ActivationError, match="units 0, 1, 2, 3, 4, 5 changed: got NaN"):
        list(passes(net, "1").logits(IMAGES, [[0], range(UNITS)]))
    with pytest.raises(ActivationError, match="the network as it is"):
        list(passes(net, "1").logits(IMAGES * np.inf, []))


@pytest.mark.parametrize("mode", ["median", "0.5", None, True, float("nan"), float("inf"), "Zero"])
def test_unknown_modes(mode: Any) -> None:
    with pytest.raises(SettingError, match='expected mode "zero", "mean", or a factor'):
        checked_mode(mode)
