"""JSON objects that know when a byte of them was changed."""

from __future__ import annotations

import hashlib
import json
from typing import Any

__all__ = ["sealed", "unsealed"]

_SEAL = "digest"


def sealed(told: dict[str, Any]) -> dict[str, Any]:
    """The same with its digest, of what JSON makes of it.

    >>> unsealed(sealed({"names": ("a", "b")}))
    {'names': ('a', 'b')}
    """
    return {**told, _SEAL: _digest(told)}


def unsealed(told: Any) -> dict[str, Any]:
    """The same without its digest.

    Raises:
        ValueError: the digest is not of the rest. KeyError, TypeError: there is none.
    """
    if not isinstance(told, dict):
        raise TypeError(f"expected an object; got {type(told).__name__}")
    rest = {name: value for name, value in told.items() if name != _SEAL}
    if told[_SEAL] != _digest(rest):
        raise ValueError("its digest is not of its content")
    return rest


def _digest(told: dict[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=16).hexdigest()
