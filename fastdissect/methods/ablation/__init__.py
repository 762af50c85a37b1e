"""What a network loses when units are taken out.

groups.py            which units: by label, category, number; random groups of the same size
run.py passes.py     the network and the data once; edit.py changes a layer's output, replay.py spares what lies before it
measures.py          accuracy and logits, intact and changed
tables.py contrast.py result.py    groups, classes, single units; do detectors matter more than others?
"""

from __future__ import annotations
