"""Categories in display order, and one calm colour for each.

The colours are alike in lightness, so that no category shouts; `light` is used on paper and by day, `dark`
by night. Text is never set in them: they mark, the words beside them say.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["DISPLAY_ORDER", "Hue", "display_order", "hues"]

DISPLAY_ORDER = ("object", "scene", "part", "material", "texture", "color")  # the papers' (METHODS 1.5)


class Hue(NamedTuple):
    """One category's colour."""

    light: str
    dark: str


_HUES = {
    "object": Hue("#3f74b8", "#7aa7e6"),
    "scene": Hue("#2b8a76", "#5cbfa8"),
    "part": Hue("#c07f22", "#e0aa58"),
    "material": Hue("#7d62b3", "#ab94de"),
    "texture": Hue("#bd5275", "#e58aa6"),
    "color": Hue("#71862c", "#a9bd63"),
}
_OTHERS = (
    Hue("#4f7f92", "#84b4c6"),
    Hue("#a3633f", "#d39a78"),
    Hue("#5a6f9e", "#95a8d6"),
    Hue("#88608a", "#c198c3"),
    Hue("#5f7f58", "#98ba90"),
    Hue("#75716a", "#b1aca3"),
)


def display_order(categories: Iterable[str]) -> tuple[str, ...]:
    """Return categories as they are shown: the papers' six first, then others in the order given.

    >>> display_order(["color", "mood", "object"])
    ('object', 'color', 'mood')
    """
    given = list(dict.fromkeys(categories))
    known = [q for q in DISPLAY_ORDER if q in given]
    return (*known, *(q for q in given if q not in known))


def hues(categories: Iterable[str]) -> dict[str, Hue]:
    """Return a colour for every category, in display order; a seventh unknown one begins again."""
    shown = display_order(categories)
    unknown = [q for q in shown if q not in _HUES]
    return {q: _HUES[q] if q in _HUES else _OTHERS[unknown.index(q) % len(_OTHERS)] for q in shown}
