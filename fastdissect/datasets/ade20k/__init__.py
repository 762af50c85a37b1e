"""ADE20K: the full set of 2016 and of 2021, and the 150 classes of scene parsing."""

from __future__ import annotations
