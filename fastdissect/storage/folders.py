"""A layer's folder: its dotted name, percent-encoded where a file system needs it."""

from __future__ import annotations

import re

__all__ = ["layer_folder"]

_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)  # reserved by Windows


def layer_folder(name: str) -> str:
    """Return a folder name that every file system takes; different layers never share one.

    >>> layer_folder("layer4.0.conv1"), layer_folder("a/b"), layer_folder(".."), layer_folder("aux.1")
    ('layer4.0.conv1', 'a%2Fb', '%2E%2E', '%61ux.1')
    """
    plain = "".join(
        c if c in _PLAIN else "".join(f"%{b:02X}" for b in c.encode(errors="surrogatepass")) for c in name
    )
    if plain.startswith(".") or _DEVICE.fullmatch(plain):
        plain = f"%{ord(plain[0]):02X}{plain[1:]}"
    if plain.endswith("."):
        plain = f"{plain[:-1]}%2E"
    return plain or "%"  # the network itself is named ""
