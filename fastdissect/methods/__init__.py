"""Studies of a network's units, beyond their labels: each is a function that takes runs or networks and returns tables."""

from __future__ import annotations
