"""The named profiles: four sets of conventions under which a network can be dissected (DESIGN section 3).

    netdissect         the method, modern conventions (the default)
    netdissect-caffe   the original of 2017, for the papers' tables
    netdissect-lite    what NetDissect-Lite computes
    dissect-2020       what davidbau/dissect computes

Where each number comes from: METHODS 1.2 (quantile), 1.3 (upsampling), 1.4 (areas), 1.5 (cut and ties).
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

from fastdissect.errors import SettingError, nearest
from fastdissect.ranks import RankBounds, interpolate, rank_bounds
from fastdissect.types import Profile

__all__ = [
    "PROFILES",
    "RankBounds",
    "interpolate",
    "parse_quantile",
    "profile",
    "profile_from_record",
    "profile_record",
    "rank_bounds",
]

_NETDISSECT = Profile(
    name="netdissect",
    quantile=Fraction(1, 200),
    readout="inverted-cdf",
    population="raw",
    upsampling="half-pixel",
    presence="image",
    repeats="once",
    cut=0.04,
    cut_inclusive=False,  # the paper's statistics: IoU > 0.04
    epsilon=1e-20,
    category_ties="later",
    unlabelled="kept",
    notes="The method of Bau et al. 2017 with exact order statistics and half-pixel upsampling.",
)
# Both 2017 programs read 1,000 evenly spaced quantiles at index 994: level 994/999, not 0.995.
_CAFFE = dataclasses.replace(
    _NETDISSECT,
    name="netdissect-caffe",
    quantile=Fraction(5, 999),
    readout="linear",
    upsampling="receptive-field",
    repeats="per-channel",
    notes="CSAILVision/NetDissect 2017, without its limit of 2,048 counts an image.",
)
_LITE = dataclasses.replace(
    _CAFFE,
    name="netdissect-lite",
    upsampling="pil",
    presence="under-mask",
    cut_inclusive=True,  # its report: score >= 0.04
    epsilon=1e-10,
    unlabelled="removed",  # its loader drops them, so they do not count towards the thresholds either
    notes="CSAILVision/NetDissect-Lite, without its stale variables (METHODS 1.4).",
)
_DISSECT_2020 = dataclasses.replace(
    _NETDISSECT,
    name="dissect-2020",
    quantile=Fraction(1, 100),
    readout="linear",
    population="upsampled",
    upsampling="half-pixel-zero",
    presence="all",
    category_ties="first",
    notes="davidbau/dissect (PNAS 2020): quantile over upsampled maps, no category rule.",
)

PROFILES: Mapping[str, Profile] = MappingProxyType(
    {p.name: p for p in (_NETDISSECT, _CAFFE, _LITE, _DISSECT_2020)}
)
_FIXED = ("name", "notes")
_HINTS = get_type_hints(Profile)
_ITEMS = tuple(f.name for f in dataclasses.fields(Profile) if f.name not in _FIXED)


def profile(name_or_profile: str | Profile = "netdissect", **overrides: Any) -> Profile:
    """Return a profile by name, with single items set otherwise.

    Args:
        name_or_profile: one of `PROFILES`, or a `Profile` to start from.
        overrides: any item of `Profile` but its name, e.g. `quantile=0.01`, `upsampling="pil"`.

    Raises:
        SettingError: unknown profile, item or value; the message lists what there is.

    >>> profile("netdissect-lite", quantile="1/100").quantile
    Fraction(1, 100)
    """
    named = PROFILES.get(str(name_or_profile))
    base = name_or_profile if isinstance(name_or_profile, Profile) else named
    if base is None:
        raise SettingError(
            f"expected a profile of {', '.join(PROFILES)}; got {name_or_profile!r}"
            f"{nearest(str(name_or_profile), PROFILES)}"
        )
    for item in overrides:
        if item not in _ITEMS:
            raise SettingError(
                f"expected a profile's item of {', '.join(_ITEMS)}; got {item!r}{nearest(item, _ITEMS)}"
            )
    return dataclasses.replace(base, **{item: _checked(item, value) for item, value in overrides.items()})


def _checked(item: str, value: Any) -> Any:
    if item == "quantile":
        return parse_quantile(value)
    if get_origin(_HINTS[item]) is Literal:
        options = get_args(_HINTS[item])
        if value not in options:
            raise SettingError(f"expected {item} to be one of {', '.join(options)}; got {value!r}")
        return value
    if _HINTS[item] is bool:
        if not isinstance(value, (bool, np.bool_)):
            raise SettingError(f"expected {item} to be True or False; got {value!r}")
        return bool(value)
    top = 1.0 if item == "cut" else math.inf
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= float(value) <= top:
        raise SettingError(
            f"expected {item} to be a number from 0{' to 1' if item == 'cut' else ''}; got {value!r}"
        )
    if not math.isfinite(value):
        raise SettingError(f"expected a finite {item}; got {value!r}")
    return float(value)


def parse_quantile(value: float | str | Fraction | Decimal) -> Fraction:
    """Return the top fraction as the decimal that was written: 0.005 is exactly 1/200.

    A binary float cannot hold 0.005; what was meant is its shortest decimal form, which `repr` gives.

    Args:
        value: a number, or text such as "0.005" or "5/999"; the fraction of values *above* the threshold.

    Raises:
        SettingError: no number, outside (0, 1), or above 0.5 (then 1 - q was probably meant).

    >>> parse_quantile(0.005), parse_quantile("5/999")
    (Fraction(1, 200), Fraction(5, 999))
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        if isinstance(value, float):  # numpy's float64 as well, whose own repr is not a number
            quantile = Fraction(float.__repr__(value))
        elif isinstance(value, np.floating):
            quantile = Fraction(str(value))
        else:
            quantile = Fraction(value)
    except (ValueError, TypeError, OverflowError, ZeroDivisionError):
        raise SettingError(
            f"expected a quantile such as 0.005 or '1/200' (the top fraction); got {value!r}"
        ) from None
    if not 0 < quantile < 1:
        raise SettingError(f"expected a quantile between 0 and 1, such as 0.005; got {value!r}")
    if quantile > Fraction(1, 2):
        raise SettingError(
            f"expected the top fraction, at most 0.5; got {value!r}; did you mean 1 - {value} = "
            f"{_written(1 - quantile)}?"
        )
    return quantile


def _written(fraction: Fraction) -> str:
    """A decimal where one exists, else "a/b".

    >>> _written(Fraction(1, 200)), _written(Fraction(5, 999))
    ('0.005', '5/999')
    """
    rest = fraction.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return str(Decimal(fraction.numerator) / Decimal(fraction.denominator)) if rest == 1 else str(fraction)


def profile_record(value: Profile) -> dict[str, Any]:
    """Return a profile as JSON holds it: every item, the quantile as text ("1/200")."""
    return {**dataclasses.asdict(value), "quantile": str(value.quantile)}


def profile_from_record(record: Mapping[str, Any]) -> Profile:
    """Return the profile that `profile_record` wrote.

    Raises:
        SettingError: items missing, unknown, or outside what is allowed.
    """
    known = {f.name for f in dataclasses.fields(Profile)}
    record = {"unlabelled": "kept", **record}  # runs from before there was a choice kept them
    if set(record) != known:
        raise SettingError(
            f"expected a profile's items {', '.join(sorted(known))}; got {', '.join(sorted(record))}"
        )
    if not all(isinstance(record[item], str) for item in _FIXED):
        raise SettingError("expected a profile's name and notes to be text")
    base = dataclasses.replace(_NETDISSECT, name=record["name"], notes=record["notes"])
    return profile(base, **{item: record[item] for item in _ITEMS})
