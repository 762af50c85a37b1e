"""Data in scripts: the same value arrives, and nothing in it can end the script."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_cases import HOSTILE

from fastdissect.reports.json_scripts import put_script, rounded, rounded_all, safe_json

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(_VALUES)
def test_the_value_arrives_unchanged_and_harmless(value: object) -> None:
    text = safe_json(value)
    assert json.loads(text) == value
    assert text.isascii()
    assert not set(text) & set("<>&\u2028\u2029\n\r")


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names(name: str) -> None:
    script = put_script(name, {name: [name]}).decode("ascii")
    assert "<" not in script
    key, value = json.loads("[" + script.removeprefix("FD.put(").removesuffix(");\n") + "]")
    assert (key, value) == (name, {name: [name]})


def test_half_a_character_of_a_file_name_is_kept() -> None:
    assert json.loads(safe_json("a\udc80b")) == "a\udc80b"


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_no_number_is_none_and_never_written(bad: float) -> None:
    assert rounded(bad) is None
    with pytest.raises(ValueError):
        safe_json([bad])


def test_rounding_keeps_significant_digits() -> None:
    assert rounded(0.000123456789) == 0.000123457
    assert rounded(1234567.0, 3) == 1230000.0
    assert rounded(0.0) == 0.0


@given(st.lists(st.floats(width=32)), st.integers(1, 9))
def test_a_row_is_rounded_as_its_values_are(values: list[float], digits: int) -> None:
    expected = [rounded(value, digits) for value in values]
    assert rounded_all(np.array(values, np.float32), digits) == expected
    assert rounded_all(np.array(values), digits) == expected
