"""Many networks or checkpoints over one data set: names and steps, a run for each, and the record of all."""

from __future__ import annotations
