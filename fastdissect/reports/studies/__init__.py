"""Pages and figures of the studies: results in, files out; computes nothing."""

from __future__ import annotations
