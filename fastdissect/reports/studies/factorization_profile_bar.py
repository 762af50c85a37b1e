"""What a factor is of, as a small square of bars: an SVG beside its pictures, light enough for many factors."""

from __future__ import annotations

from xml.sax.saxutils import escape

import numpy as np

from fastdissect.methods.factorization.profiles import Profiles
from fastdissect.reports.studies.factorization_words import short
from fastdissect.reports.studies.figures import INK, QUIET

__all__ = ["profile_bar"]

_SIDE = 216
_ENTRIES = 6
_PITCH, _EDGE = 30, 8
_PAPER, _TRACK = "#ffffff", "#eceae5"


def profile_bar(profiles: Profiles, factor: int, colour: str) -> bytes:
    """Draw the largest weights of a factor's profile; what the others have stands below, in grey.

    Args:
        colour: "#rrggbb" of the bars.
    """
    weights = profiles.weights[factor]
    order = [i for i in np.argsort(-weights, kind="stable")[:_ENTRIES].tolist() if weights[i] > 0]
    lines = [(short(profiles.names[i], 26), float(weights[i]), colour, INK) for i in order]
    others = int(np.count_nonzero(weights)) - len(order)
    if others:
        name = "1 other" if others == 1 else f"{others:,} others"
        lines.append((name, max(float(weights.sum() - weights[order].sum()), 0.0), QUIET, QUIET))
    parts = [_line(_EDGE + _PITCH * place, *line) for place, line in enumerate(lines)]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_SIDE} {_SIDE}" width="{_SIDE}" height="{_SIDE}" '
        f'font-family="system-ui, sans-serif" font-size="11"><rect width="{_SIDE}" height="{_SIDE}" fill="{_PAPER}"/>'
    )
    return "\n".join([head, *parts, "</svg>\n"]).encode()


def _line(top: int, name: str, weight: float, colour: str, ink: str) -> str:
    wide = _SIDE - 2 * _EDGE
    text = escape(name).translate({0xFFFE: "\ufffd", 0xFFFF: "\ufffd"})  # no characters of XML
    return (
        f'<text x="{_EDGE}" y="{top + 11}" fill="{ink}">{text}</text>'
        f'<text x="{_SIDE - _EDGE}" y="{top + 11}" fill="{QUIET}" text-anchor="end">{weight:.2f}</text>'
        f'<rect x="{_EDGE}" y="{top + 16}" width="{wide}" height="6" fill="{_TRACK}"/>'
        f'<rect x="{_EDGE}" y="{top + 16}" width="{wide * min(weight, 1.0):.1f}" height="6" fill="{colour}"/>'
    )
