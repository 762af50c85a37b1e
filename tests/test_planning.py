"""The planner's figures, choices and limits."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastdissect.conventions import PROFILES, profile
from fastdissect.errors import SettingError
from fastdissect.grouping import deal
from fastdissect.planning import (
    FLOOR,
    LayerShape,
    TogetherError,
    available_memory,
    device_shares,
    layer_needs,
    make_plan,
)
from fastdissect.upsampling import make_upsampling

DEFAULT = PROFILES["netdissect"]


def shape(units: int, side: int, kind: str = "float32") -> LayerShape:
    return LayerShape(units, side, side, kind, make_upsampling("half-pixel", (side, side), (112, 112)))  # type: ignore[arg-type]


BRODEN = 63_305
LAYERS = {"conv1": shape(64, 112), "layer1": shape(64, 56), "layer4": shape(512, 7), "fc": shape(1000, 1)}


def plan(
    memory: int | None, passes: int | None = None, layers: dict[str, LayerShape] = LAYERS, **options: object
) -> object:
    return make_plan(layers, BRODEN, options.pop("profile", DEFAULT), memory=memory, passes=passes, **options)  # type: ignore[arg-type]


def test_large_layers_take_more_passes_as_memory_falls() -> None:
    chosen = [
        {name: layer.passes for name, layer in plan(gigabytes << 30).layers.items()}  # type: ignore[attr-defined]
        for gigabytes in (64, 20, 4, 1)
    ]
    assert chosen[0] == dict.fromkeys(LAYERS, 1)
    assert chosen[1]["conv1"] == 2
    assert chosen[1]["layer4"] == 1
    assert chosen[-1]["conv1"] == 3
    for earlier, later in itertools.pairwise(chosen):
        assert all(earlier[name] <= later[name] for name in LAYERS)


@given(st.integers(1, 1 << 37), st.sampled_from([None, 1, 2, 3]), st.sampled_from(["inverted-cdf", "linear"]))
def test_shares_never_pass_the_budget(memory: int, passes: int | None, readout: str) -> None:
    try:
        found = plan(memory, passes, profile=profile(readout=readout))
    except SettingError:
        assert memory < 40 << 30 or passes is not None
        return
    assert found.memory == memory  # type: ignore[attr-defined]
    layers = found.layers  # type: ignore[attr-defined]
    assert list(layers) == list(LAYERS)
    assert sum(layer.memory for layer in layers.values()) <= memory
    assert all(layer.memory >= FLOOR for layer in layers.values())
    if passes is not None:
        assert {layer.passes for layer in layers.values()} == {passes}
        assert found.passes == passes  # type: ignore[attr-defined]


def test_figures() -> None:
    """Two passes hold r values a unit, three passes 65,536 counters; both with room to grow."""
    one = {"layer4": shape(512, 7)}
    values = 512 * (BRODEN * 49 // 200) * 4
    with pytest.raises(SettingError, match=r"some 82\.6 MB"):
        plan(values, 2, one)
    plan(int(values * 2.6) + 512 * 4 * 3, 2, one)
    counters = 512 * 65536 * 8
    plan(counters, 3, one)
    with pytest.raises(SettingError, match=r"some 268\.4 MB"):
        plan(counters - 1, 3, one)
    with pytest.raises(SettingError, match=r"some 536\.9 MB"):
        plan(counters, 3, one, profile=profile(readout="linear"))
    half = {"layer4": shape(512, 7, "float16")}
    with pytest.raises(SettingError, match=r"some 41\.3 MB"):
        plan(values // 2, 2, half)


def test_known_thresholds_take_one_pass() -> None:
    found = plan(64 << 20, None, known=frozenset(LAYERS))
    assert {layer.passes for layer in found.layers.values()} == {1}  # type: ignore[attr-defined]
    assert found.layers["conv1"].why == "its thresholds are given"  # type: ignore[attr-defined]


def test_what_it_says() -> None:
    assert plan(20 << 30).layers["conv1"].why.startswith("its cells may take ")  # type: ignore[attr-defined]
    assert plan(1 << 30).layers["conv1"].why.startswith("its values take ")  # type: ignore[attr-defined]
    assert plan(64 << 30, 2).layers["conv1"].why == "as asked"  # type: ignore[attr-defined]


def test_the_default_is_half_of_what_is_free() -> None:
    assert 1 << 20 < available_memory() < 1 << 50
    assert plan(None, None, {"fc": shape(10, 1)}).memory == pytest.approx(available_memory(), rel=0.5)  # type: ignore[attr-defined]


def test_a_gpus_memory_is_dealt_by_need() -> None:
    small, large = shape(100, 14), shape(300, 14)
    layers = {"a": small, "b": large, "c": small, "host": large}
    places = {"a": "cuda:0", "b": "cuda:0", "c": "cuda:1", "host": "cpu"}
    shares = device_shares(layers, BRODEN, DEFAULT, places, {"cuda:0": 4_000, "cuda:1": 500})
    assert shares == pytest.approx({"a": 1_000, "b": 3_000, "c": 500, "host": float("inf")})


MANY = {f"{kind}{n}": shape(64 * n, side) for n in (1, 2, 3) for kind, side in (("early", 56), ("late", 14))}


def fits_alone(layer: str, memory: int, passes: int | None, **options: object) -> bool:
    try:
        plan(memory, passes, {layer: MANY[layer]}, **options)
    except SettingError:
        return False
    return True


@given(
    st.integers(1 << 20, 1 << 35),
    st.sampled_from([None, 1, 2, 3]),
    st.sampled_from(list(PROFILES)),
    st.sampled_from([frozenset(), frozenset({"late1", "early2"})]),
)
def test_groups_hold_every_layer_once_in_order_and_fit(
    memory: int, passes: int | None, name: str, known: frozenset[str]
) -> None:
    if name == "dissect-2020" and passes not in (None, 1):
        return
    options = {"profile": PROFILES[name], "known": known}
    if not all(fits_alone(layer, memory, passes, **options) for layer in MANY):
        with pytest.raises(SettingError) as caught:
            deal(MANY, BRODEN, PROFILES[name], memory=memory, passes=passes, known=known)
        assert not isinstance(caught.value, TogetherError)
        return
    plans = deal(MANY, BRODEN, PROFILES[name], memory=memory, passes=passes, known=known)
    assert [layer for own in plans for layer in own.layers] == list(MANY)
    for own in plans:
        assert sum(layer.memory for layer in own.layers.values()) <= own.memory == memory
        if passes is not None:
            assert {layer.passes for n, layer in own.layers.items() if n not in known} <= {passes}
    if len(plans) == 1:
        assert plans[0] == plan(memory, passes, MANY, **options)
    else:
        with pytest.raises(TogetherError):
            plan(memory, passes, MANY, **options)


def test_groups_take_the_fewest_passes_altogether() -> None:
    """Four equal layers that need some 14 times as much in one pass as in two."""
    own = shape(512, 7)
    needs = layer_needs(own, BRODEN, DEFAULT)
    layers = dict.fromkeys("abcd", own)
    assert needs[2] < needs[3] < needs[1]

    def groups(memory: float, passes: int | None = None) -> list[tuple[str, int]]:
        plans = deal(layers, BRODEN, DEFAULT, memory=int(memory), passes=passes)
        return [("".join(found.layers), found.passes) for found in plans]

    assert groups(4 * needs[2] + 8) == [("abcd", 2)]
    assert groups(4 * needs[2] - 8) == [("abc", 2), ("d", 2)]
    assert groups(2 * needs[2] + 8) == [("ab", 2), ("cd", 2)]
    assert groups(needs[2] + 8) == [(name, 2) for name in "abcd"]
    assert groups(needs[2] + 8, 1) == [(name, 1) for name in "abcd"]
    # two groups of one pass each are no more than one of two: layers that fit together stay together
    plans = deal({"a": own, "b": own}, BRODEN, DEFAULT, memory=int(needs[1]) + 8, passes=None)
    assert [found.passes for found in plans] == [2]


def test_a_layer_that_does_not_fit_alone_is_named() -> None:
    with pytest.raises(SettingError, match=r"'layer4'.*give more with --memory, or leave it out") as caught:
        deal(LAYERS, BRODEN, DEFAULT, memory=20 << 20, passes=None)
    assert not isinstance(caught.value, TogetherError)


def test_estimates_over_upsampled_maps_make_no_groups_unless_memory_is_given() -> None:
    upsampled = PROFILES["dissect-2020"]
    assert len(deal(MANY, BRODEN, upsampled, memory=None, passes=None)) == 1
    largest = max(layer_needs(own, BRODEN, upsampled)[1] for own in MANY.values())
    plans = deal(MANY, BRODEN, upsampled, memory=int(largest) + 1, passes=None)
    assert len(plans) > 1
    assert {layer.passes for own in plans for layer in own.layers.values()} == {1}


@given(st.integers(1 << 28, 1 << 38), st.integers(1 << 28, 1 << 38))
def test_more_memory_never_takes_more_passes(one: int, other: int) -> None:
    """Where a large share for one layer would leave three passes to the others, all take two."""
    less, more = sorted((one, other))
    layers = {str(n): shape(4096, 14) for n in range(12)}
    found = [
        sum(own.passes for own in deal(layers, BRODEN, DEFAULT, memory=memory, passes=None))
        for memory in (less, more)
        if memory > 3 << 30
    ]
    assert found == sorted(found, reverse=True)
