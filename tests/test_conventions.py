from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdissect.conventions import (
    PROFILES,
    interpolate,
    parse_quantile,
    profile,
    profile_from_record,
    profile_record,
    rank_bounds,
)
from fastdissect.errors import SettingError


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (0.005, Fraction(1, 200)),
        (0.1 + 0.2, Fraction("0.30000000000000004")),
        (np.float64(0.005), Fraction(1, 200)),
        (np.float32(0.005), Fraction(1, 200)),
        ("0.005", Fraction(1, 200)),
        ("5/999", Fraction(5, 999)),
        (" 5e-3 ", Fraction(1, 200)),
        (Decimal("0.005"), Fraction(1, 200)),
        (Fraction(5, 999), Fraction(5, 999)),
        (0.5, Fraction(1, 2)),
    ],
)
def test_a_quantile_is_the_decimal_that_was_written(written, meant):
    assert parse_quantile(written) == meant


@pytest.mark.parametrize(
    "written",
    [0, 1, 1.0, -0.005, "2", "", "half", "1/0", None, True, [0.1], float("nan"), float("inf"), 3 + 0j],
)
def test_what_is_no_fraction_is_refused_with_an_example(written):
    with pytest.raises(SettingError, match=r"0\.005"):
        parse_quantile(written)


@pytest.mark.parametrize(
    ("written", "remedy"),
    [(0.995, "0.005?"), ("994/999", "5/999?"), (Decimal("0.99"), "0.01?"), (0.75, "0.25?")],
)
def test_a_level_instead_of_a_tail_is_refused_with_the_tail(written, remedy):
    with pytest.raises(SettingError) as caught:
        parse_quantile(written)
    assert str(caught.value).endswith(f"= {remedy}")


def test_the_four_profiles_are_design_section_3():
    rows = {
        name: (p.quantile, p.readout, p.population, p.upsampling, p.presence, p.repeats, p.category_ties)
        for name, p in PROFILES.items()
    }
    assert rows == {
        "netdissect": (Fraction(1, 200), "inverted-cdf", "raw", "half-pixel", "image", "once", "later"),
        "netdissect-caffe": (
            Fraction(5, 999),
            "linear",
            "raw",
            "receptive-field",
            "image",
            "per-channel",
            "later",
        ),
        "netdissect-lite": (Fraction(5, 999), "linear", "raw", "pil", "under-mask", "per-channel", "later"),
        "dissect-2020": (Fraction(1, 100), "linear", "upsampled", "half-pixel-zero", "all", "once", "first"),
    }
    assert {p.cut for p in PROFILES.values()} == {0.04}
    assert [name for name, p in PROFILES.items() if p.cut_inclusive] == ["netdissect-lite"]
    assert [name for name, p in PROFILES.items() if p.unlabelled == "removed"] == ["netdissect-lite"]
    assert PROFILES["netdissect-caffe"].epsilon == 1e-20
    assert PROFILES["netdissect-lite"].epsilon == 1e-10


def test_each_item_can_be_set_by_itself():
    base = PROFILES["netdissect"]
    other = {
        "quantile": "1/100",
        "readout": "linear",
        "population": "upsampled",
        "upsampling": "pil",
        "presence": "all",
        "repeats": "per-channel",
        "cut": 0.1,
        "cut_inclusive": True,
        "epsilon": 0,
        "category_ties": "first",
        "unlabelled": "removed",
    }
    for item, value in other.items():
        changed = profile("netdissect", **{item: value})
        differing = {i for i in other if getattr(changed, i) != getattr(base, i)}
        assert differing == {item}
    assert profile(base, quantile=0.01).quantile == Fraction(1, 100)
    assert profile(base) is not PROFILES["dissect-2020"]
    assert profile(base) == base


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"quantil": 0.1}, "quantile"),
        ({"name": "mine"}, "readout"),
        ({"readout": "median"}, "inverted-cdf, linear"),
        ({"presence": None}, "image, under-mask, all"),
        ({"unlabelled": "dropped"}, "kept, removed"),
        ({"cut": -0.1}, "0 to 1"),
        ({"cut": 1.5}, "0 to 1"),
        ({"cut": float("nan")}, "0 to 1"),
        ({"cut": True}, "0 to 1"),
        ({"cut": "0.04"}, "0 to 1"),
        ({"cut_inclusive": 1}, "True or False"),
        ({"epsilon": float("inf")}, "finite"),
        ({"quantile": 0.995}, "0.005"),
    ],
)
def test_an_unknown_item_or_value_is_refused_with_the_options(overrides, words):
    with pytest.raises(SettingError, match=words):
        profile("netdissect", **overrides)


@pytest.mark.parametrize("name", ["netdisect", "", None, 3, ["netdissect"]])
def test_an_unknown_profile_is_refused_with_the_names(name):
    with pytest.raises(SettingError, match="netdissect, netdissect-caffe, netdissect-lite, dissect-2020"):
        profile(name)


def test_the_table_of_profiles_cannot_be_changed():
    with pytest.raises(TypeError):
        PROFILES["netdissect"] = PROFILES["dissect-2020"]


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_survives_json(name):
    p = profile(name, quantile="7/12345")
    again = profile_from_record(json.loads(json.dumps(profile_record(p))))
    assert (again, again.notes) == (p, p.notes)


def test_a_record_from_before_unlabelled_images_could_be_removed_kept_them():
    record = profile_record(profile("netdissect-lite"))
    del record["unlabelled"]
    assert profile_from_record(record) == profile("netdissect-lite", unlabelled="kept")


def test_a_damaged_record_is_refused():
    record = profile_record(PROFILES["netdissect"])
    for broken in (
        {**record, "extra": 1},
        {k: v for k, v in record.items() if k != "cut"},
        {**record, "cut": "high"},
        {**record, "name": 7},
        {**record, "quantile": None},
        {**record, "unlabelled": "some"},
    ):
        with pytest.raises(SettingError):
            profile_from_record(broken)


quantiles = st.fractions(min_value=Fraction(1, 500), max_value=Fraction(1, 2), max_denominator=1000)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=60), quantiles)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_the_inverted_cdf_is_the_lowest_value_exceeded_by_at_most_q_n(values, q):
    bounds = rank_bounds(profile("netdissect", quantile=q), len(values))
    assert bounds.weights == (1,)
    assert bounds.ranks == (bounds.deepest,)
    threshold = sorted(values, reverse=True)[bounds.deepest - 1]
    allowed = [v for v in values if sum(x > v for x in values) <= q * len(values)]
    assert threshold == min(allowed)


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=60), quantiles)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_the_linear_readout_is_numpys_and_exact(values, q):
    bounds = rank_bounds(profile("netdissect", quantile=q, readout="linear"), len(values))
    n = len(values)
    level = 1 - q
    assert bounds.deepest == n - ((n - 1) * level).__floor__()  # DESIGN section 2
    assert sum(bounds.weights) == 1
    assert all(w > 0 for w in bounds.weights)
    assert all(1 <= r <= n for r in bounds.ranks)
    top = sorted(values, reverse=True)
    exact = sum(top[r - 1] * w for r, w in zip(bounds.ranks, bounds.weights, strict=True))
    assert float(exact) == pytest.approx(np.quantile(values, float(level), method="linear"), abs=1e-9)
    low, high = top[bounds.ranks[0] - 1], top[bounds.ranks[-1] - 1]
    got = interpolate([low], [high], bounds.weights[-1])
    assert got.dtype == np.float32
    assert low <= got[0] <= high
    assert float(got[0]) == pytest.approx(float(exact), rel=1e-6, abs=1e-6)


def test_a_position_that_is_a_value_needs_one_rank():
    # In floats (n - 1) * 0.99 can miss the integer by an ulp; here it cannot: 0.99 * 1000 is 990.
    assert rank_bounds(PROFILES["dissect-2020"], 1001) == ((11,), (1,))
    assert rank_bounds(PROFILES["netdissect-lite"], 1000) == ((6,), (1,))  # index 994 of 0 .. 999
    assert rank_bounds(PROFILES["netdissect"], 199).ranks == (1,)  # m = 0: the maximum
    assert rank_bounds(PROFILES["netdissect"], 200).ranks == (2,)
    assert rank_bounds(PROFILES["netdissect"], 63305 * 49).ranks == (63305 * 49 // 200 + 1,)


@pytest.mark.parametrize("n", [0, -1])
def test_no_values_no_threshold(n):
    with pytest.raises(SettingError, match=f"n = {n}"):
        rank_bounds(PROFILES["netdissect"], n)


def test_interpolation_is_float64_then_rounded_and_knows_infinities():
    rng = np.random.default_rng(0)
    low = rng.standard_normal(100).astype(np.float32)
    high = low + rng.random(100, dtype=np.float32)
    weight = Fraction(1, 3)
    expected = [
        np.float32(float(a) + (float(b) - float(a)) * (1 / 3)) for a, b in zip(low, high, strict=True)
    ]
    assert interpolate(low, high, weight).tolist() == [float(e) for e in expected]
    inf = np.inf
    assert interpolate([inf, -inf, -inf, 1, -inf], [inf, -inf, 2, inf, inf], weight).tolist() == [
        inf,
        -inf,
        -inf,
        inf,
        -inf,
    ]
    assert interpolate([1.0], [inf], Fraction(0)).tolist() == [1.0]
