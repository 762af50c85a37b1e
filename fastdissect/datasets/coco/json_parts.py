"""A large JSON object, read part by part: its long lists are handed over element by element and not kept.

The annotation files of COCO and LVIS have hundreds of megabytes; as Python objects they would take ten times that.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from fastdissect.errors import DataError

__all__ = ["parse_json", "read_parts"]

Receive = Callable[[Any, int, int], None]
"""Takes an element and where its bytes start and end."""

_skip_space = re.compile(r"[ \t\n\r]*").match


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


_decoder = json.JSONDecoder(parse_constant=_refuse)
_decode = _decoder.raw_decode


def parse_json(data: bytes, what: str) -> Any:
    """Parse one JSON text.

    Raises:
        DataError: no JSON, no UTF-8, or NaN or Infinity in it.
    """
    try:
        return _decoder.decode(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{what} is no valid JSON ({error}). Restore the file.") from error


def read_parts(data: bytes, what: str, lists: Mapping[str, Receive]) -> dict[str, Any]:
    """Parse a JSON object; the elements of some of its lists go to a function each and are forgotten.

    Args:
        data: the file's bytes, in UTF-8.
        what: names the file in errors.
        lists: {key of the object: the function that takes (element, start, end)}; `data[start:end]` is its text.

    Returns:
        The object; the value of a key in `lists` is the number of its elements.

    Raises:
        DataError: no JSON object, a key twice, or a value of `lists` that is no list.

    Example:
        >>> read_parts(b'{"a": [7, 8], "b": "c"}', "a.json", {"a": lambda *part: print(*part)})
        7 7 8
        8 10 11
        {'a': 2, 'b': 'c'}
    """
    # One byte is one character, so that places in the text are places in the file; each value is read as UTF-8.
    text = data.decode("latin-1")
    found: dict[str, Any] = {}
    try:
        at = _past(text, 3 if data.startswith(codecs.BOM_UTF8) else 0, "{")
        while text[at : at + 1] != "}" or found:
            key, at = _decode_value(text, at)
            if not isinstance(key, str) or key in found:
                raise ValueError(f"the key {key!r} is no text or comes twice, before character {at}")
            at = _past(text, at, ":")
            if key in lists:
                found[key], at = _read_list(text, at, lists[key])
            else:
                found[key], at = _decode_value(text, at)
            at = _space(text, at)
            if text[at : at + 1] == "}":
                break
            at = _past(text, at, ",")
        if _space(text, at + 1) != len(text):
            raise ValueError(f"something follows the object, from character {at + 1}")
    except DataError:
        raise  # from a function of `lists`; a DataError is a ValueError
    except (ValueError, RecursionError) as error:
        raise DataError(f"{what} is no valid JSON object ({error}). Restore the file.") from error
    return found


def _decode_value(text: str, at: int) -> tuple[Any, int]:
    """A value and the place behind it, read as UTF-8."""
    value, end = _decode(text, at)
    part = text[at:end]
    return (value if part.isascii() else _decoder.decode(part.encode("latin-1").decode())), end


def _read_list(text: str, at: int, receive: Receive) -> tuple[int, int]:
    """Number of elements, and the place behind the list."""
    at = _past(text, at, "[")
    count = 0
    while text[at : at + 1] != "]" or count:
        value, end = _decode_value(text, at)
        receive(value, at, end)
        count += 1
        at = _space(text, end)
        if text[at : at + 1] == "]":
            break
        at = _past(text, at, ",")
    return count, at + 1


def _space(text: str, at: int) -> int:
    match = _skip_space(text, at)
    return match.end() if match else at


def _past(text: str, at: int, mark: str) -> int:
    """The place of what follows `mark`, which must come next."""
    at = _space(text, at)
    if text[at : at + 1] != mark:
        raise ValueError(f"expected {mark!r} at character {at}, got {text[at : at + 1]!r}")
    return _space(text, at + 1)
