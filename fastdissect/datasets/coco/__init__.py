"""COCO and the sets that use its annotation files: instances, stuff, panoptic, LVIS, PACO; SA-1B."""

from __future__ import annotations
