"""When two names are one."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["fold"]

_BLANKS = re.compile(r"[\s_]+")


def fold(name: str) -> str:
    """What two names that are one have in common: case, and the amount and kind of white space, do not count.

    An underscore is white space: data sets write "traffic light" and "traffic_light". A hyphen is a letter like any
    other ("stuff-other", the scene "street-s").

    >>> fold(" Traffic_Light"), fold("t-shirt") == fold("t shirt")
    ('traffic light', False)
    """
    return _BLANKS.sub(" ", unicodedata.normalize("NFC", name)).strip().casefold()
