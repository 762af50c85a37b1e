"""Running statistics underneath the peers' faces: what is kept, and how it is written to files."""

from __future__ import annotations
