"""Results in, files out that the peers' own readers and scripts take. Computes nothing that is a result.

writing            `export()`: what may be asked for, checked; the formats by name
jobs               what a format is given: layers, folder, pictures
destination        the folder that takes its place whole
netdissect_lite    DEST/<layer>/tally.csv, quantile.npy
netdissect         DEST/<layer>-result.csv
clip_dissect       DEST/descriptions.csv, NetDissect_results/<layer>.csv
milan              DEST/<layer>/images.npy, masks.npy, ids.csv, activations.csv
dissect            DEST/<layer>/report.json, concepts_99.svg, image/unit<k>.jpg
tables, pictures   what several of them share
"""

from __future__ import annotations

from fastdissect.exporting.jobs import Format
from fastdissect.exporting.writing import FORMATS, export, find_format

__all__ = ["FORMATS", "Format", "export", "find_format"]
