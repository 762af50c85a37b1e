from __future__ import annotations

import random
import re
from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn

from fastdissect.errors import LayerError, ModelError
from fastdissect.models import describe_layers, get_layer, layer_names, resolve_layers, unwrap
from fastdissect.models.layer_rows import BYTES_PER_RETAINED_CELL


def block() -> nn.Module:
    return nn.Sequential(OrderedDict(conv=nn.Conv2d(4, 4, 3, padding=1), relu=nn.ReLU()))


def network() -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            stem=nn.Conv2d(3, 4, 3, padding=1),
            layer1=nn.Sequential(block(), block()),
            layer2=nn.Sequential(block()),
            pool=nn.AdaptiveAvgPool2d(1),
        )
    )


class Twice(nn.Module):
    """One ReLU under two names, called twice; one convolution that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.first = nn.ReLU()
        self.second = self.first
        self.spare = nn.Conv2d(3, 4, 1)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.second(self.first(self.conv(x)))
        return self.pool(self.pool(x)), x


def test_patterns_select_in_the_networks_order() -> None:
    net = network()
    assert resolve_layers(net, ["layer2", "stem"]) == ("stem", "layer2")
    assert resolve_layers(net, ["layer?"]) == ("layer1", "layer2")
    assert resolve_layers(net, "layer[!2]") == ("layer1",)
    assert resolve_layers(net, "layer[12].0") == ("layer1.0", "layer2.0")
    assert resolve_layers(net, ["**.relu"]) == ("layer1.0.relu", "layer1.1.relu", "layer2.0.relu")
    assert resolve_layers(net, ["layer1.*", "layer1.1", "layer1.*"]) == ("layer1.0", "layer1.1")
    assert resolve_layers(net, "**") == layer_names(net)


def test_a_star_stops_at_dots_and_two_do_not() -> None:
    """Against a matcher by hand, which walks the pattern character by character."""

    def matches(pattern: str, name: str) -> bool:
        if not pattern:
            return not name
        if pattern.startswith("**"):
            return any(matches(pattern[2:], name[i:]) for i in range(len(name) + 1))
        if pattern[0] == "*":
            stop = name.find(".") if "." in name else len(name)
            return any(matches(pattern[1:], name[i:]) for i in range(stop + 1))
        return (
            bool(name)
            and (pattern[0] == name[0] or (pattern[0] == "?" and name[0] != "."))
            and matches(pattern[1:], name[1:])
        )

    net, draw = network(), random.Random(0)
    hits = 0
    for _ in range(300):
        pattern = "".join(draw.choice(["*", "**", "?", ".", "layer", "1", "0", "relu"]) for _ in range(4))
        expected = tuple(name for name in layer_names(net) if matches(pattern, name))
        if expected:
            hits += 1
            assert resolve_layers(net, pattern) == expected, pattern
        else:
            with pytest.raises(LayerError):
                resolve_layers(net, pattern)
    assert hits > 20


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (["layer5"], r"unknown layer 'layer5'; nearest: layer"),
        (["conv?"], r"no layer matches the pattern 'conv\?'"),
        (["layer1.[.relu"], r"'layer1.\[.relu'; nearest: layer1.1.relu"),
        (["layer[2-1]"], r"expected a shell pattern"),
        ([], r"at least one layer name.*the model has stem"),
        ([""], r"expected a layer name"),
        (["zzz"], r"unknown layer 'zzz'; the model has stem, layer1"),
    ],
)
def test_what_matches_nothing_is_an_error_that_helps(patterns: list[str], message: str) -> None:
    with pytest.raises(LayerError, match=message):
        resolve_layers(network(), patterns)


def test_a_network_without_layers_says_so() -> None:
    with pytest.raises(LayerError, match=re.escape("wrap it in torch.nn.Sequential")):
        resolve_layers(nn.ReLU(), "**")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.compile's own import
def test_wrappers_leave_no_trace_in_names() -> None:
    net = network()
    names = layer_names(net)
    compiled = torch.compile(net)  # nothing is compiled before the first call
    inner = network()
    inner.layer1 = torch.compile(inner.layer1)
    for wrapped in (nn.DataParallel(net), compiled, inner):
        assert layer_names(wrapped) == names
    assert get_layer(nn.DataParallel(net), "layer1.0") is get_layer(net, "layer1.0")
    assert get_layer(net, "module.layer1.0") is get_layer(compiled, "_orig_mod.layer1.0") is net.layer1[0]
    assert get_layer(inner, "layer1") is inner.layer1  # the wrapper, because that is what gets called
    assert unwrap(nn.DataParallel(compiled)) is net


def test_a_child_called_module_among_others_is_no_wrapper() -> None:
    net = nn.ModuleDict({"module": nn.ReLU(), "head": nn.ReLU()})
    assert layer_names(net) == ("module", "head")


def test_a_shared_module_appears_once() -> None:
    net = Twice()
    assert layer_names(net) == ("conv", "first", "spare", "pool")
    assert resolve_layers(net, ["first", "second"]) == ("first",)
    assert resolve_layers(net, "second") == ("second",)
    assert get_layer(net, "second") is net.first


def test_layers_are_described_by_one_pass() -> None:
    net = network().train()
    rows = {row.name: row for row in describe_layers(net, (8, 12), images=1000, quantile=0.005)}
    assert tuple(rows) == layer_names(net)
    row = rows["layer1"]
    assert (row.type, row.shape, row.calls, row.parameters) == (
        "Sequential",
        (4, 8, 12),
        1,
        2 * (4 * 4 * 9 + 4),
    )
    assert row.activations == 4 * 8 * 12
    assert row.retained_bytes == round(0.04 * 1000 * 4 * 8 * 12 * BYTES_PER_RETAINED_CELL)
    assert rows["pool"].shape == (4, 1, 1)
    assert net.training
    assert all(not layer._forward_hooks for layer in net.modules())


def test_rows_say_why_a_layer_is_no_map() -> None:
    rows = {row.name: row for row in describe_layers(Twice(), (8, 8))}
    assert (rows["first"].calls, rows["first"].shape) == (2, (4, 8, 8))
    assert rows["spare"].reason == "not called in the forward pass"
    assert rows["pool"].reason == "called 2 times with outputs of different shapes"
    assert rows["pool"].retained_bytes == 0


def test_a_pass_that_fails_names_the_size_and_removes_its_hooks() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 5), nn.Flatten(), nn.Linear(4, 2)).train()
    with pytest.raises(ModelError, match="an image of 4 x 4 pixels"):
        describe_layers(net, (4, 4))
    assert net.training
    assert all(not layer._forward_hooks for layer in net.modules())


def test_rows_read_tokens_as_the_network_says() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches, self.norm = nn.Conv2d(3, 4, 8, 8), nn.LayerNorm(4)
            self.cls_token, self.register_tokens = (
                nn.Parameter(torch.zeros(1, 1, 4)),
                nn.Parameter(torch.zeros(1, 2, 4)),
            )

        def forward(self, x: Tensor) -> Tensor:
            x = self.patches(x).flatten(2).transpose(1, 2)
            extra = [token.expand(len(x), -1, -1) for token in (self.cls_token, self.register_tokens)]
            return self.norm(torch.cat([*extra, x], 1))  # type: ignore[no-any-return]

    row = {row.name: row for row in describe_layers(Tokens(), (32, 48))}["norm"]
    assert row.shape == (4, 4, 6)
    assert row.reading == (
        "tokens [N, T, K]: 3 prefix tokens left out, 4 x 6 grid (1 class and 2 register; the grid of patches)"
    )
