"""Data for a page that is opened from disk: scripts that call `FD.put`, because `fetch` fails on file://.

A label may be called `</script><b>`, an image `a"b'.png`. What is written here is pure ASCII without <, >
and &, so that it is the same text inside a <script>, in a .js file, and in any encoding a browser guesses;
U+2028 and U+2029, which end a line in older JavaScript, are escaped with everything else that is not ASCII.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["put_script", "rounded", "rounded_all", "safe_json"]


def safe_json(value: Any) -> str:
    """Return JSON that is harmless inside <script>: the same value for JSON.parse and for JavaScript.

    Raises:
        ValueError: a NaN or an infinity, which JSON has not; see `rounded`.

    >>> print(safe_json({"name": "</script>"}))
    {"name":"\\u003c/script\\u003e"}
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def put_script(key: str, value: Any) -> bytes:
    """Return the text of a script that hands `value` to the page under `key`.

    >>> put_script("index", [1])
    b'FD.put("index",[1]);\\n'
    """
    return f"FD.put({safe_json(key)},{safe_json(value)});\n".encode("ascii")


def rounded(value: float, digits: int = 6) -> float | None:
    """Return a number with so many significant digits, or None where JSON has no such number.

    >>> rounded(1 / 3, 3), rounded(float("inf"))
    (0.333, None)
    """
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def rounded_all(values: NDArray[np.floating[Any]], digits: int = 6) -> list[float | None]:
    """Return `rounded` of every value of a row; a report of 100,000 units rounds millions.

    >>> rounded_all(np.array([1 / 3, np.inf]), 3)
    [0.333, None]
    """
    form = f".{digits}g"
    numbers: list[float | None] = [float(format(value, form)) for value in values.astype(float).tolist()]
    for at in np.flatnonzero(~np.isfinite(values)).tolist():
        numbers[at] = None
    return numbers
