"""The type of the fixture `cuda`."""

from __future__ import annotations

from typing import Any

Cupy = Any
