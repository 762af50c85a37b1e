"""The benchmark against the peers: `fastdissect bench`.

    maps.py scenes.py        seeded activations, label maps
    cases.py                 what all contestants of a row are given, in a folder
    ours.py quantiles.py sketches.py lite.py davidbau.py baukit.py forward.py
                             the contestants: each takes a case and gives back what is to be timed
    child.py rounds.py       one process a run, the contestants in turn
    correctness.py           rank errors, agreement of labels and IoU
    rows.py scaling.py       which contestants meet on which case
    bench.py                 all of it, and the files: tables.py, charts.py, machine.py

Nothing here is used by the rest of the package.
"""

from __future__ import annotations
