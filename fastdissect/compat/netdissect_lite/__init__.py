"""NetDissect-Lite under its own names: change main.py's import lines, keep the rest.

    import settings                                    # Lite's own
    from loader.model_loader import loadmodel          # Lite's own
    from fastdissect.compat.netdissect_lite import hook_feature, FeatureOperator, generate_html_summary, clean

One exact pass over all layers in the place of a dump of activations and a sketch; the same tables. What differs,
and why, is in docs/netdissect-lite.md.

    lite_settings   settings.py, checked            inputs          pixels -> what the network gets
    broden, tables  the data set as Lite sees it    segmentation    FeatureOperator.data
    extraction      the run                         features        handles on it
    plain_arrays    a script's own arrays           recounting      other thresholds
    tallying        rows and tally.csv              strict          Lite's stale vector
    operator, html, cleaning, hooking               the four names (live: what is at work)
"""

from __future__ import annotations

from typing import Any

from fastdissect.compat.netdissect_lite.cleaning import clean
from fastdissect.compat.netdissect_lite.hooking import hook_feature
from fastdissect.compat.netdissect_lite.html import generate_html_summary
from fastdissect.compat.netdissect_lite.operator import FeatureOperator
from fastdissect.compat.running.not_offered import refuse

__all__ = ["FeatureOperator", "clean", "generate_html_summary", "hook_feature"]

_INSTEAD = {
    "features_blobs": "the features that FeatureOperator().feature_extraction returns",
    "SegmentationData": "FeatureOperator().data, or fastdissect.datasets.Broden",
    "SegmentationPrefetcher": "fastdissect.datasets.Broden, or fastdissect.dissect with workers=",
    "QuantileVector": "fastdissect.TopQuantile",
    "load_csv": "fastdissect.read_tally",
    "upsampleL": "fastdissect.count_intersections, or LayerDissection.unit_mask",
    "bar_graph_svg": "the report's detectors-<layer>.svg",
    "ExperimentDirectory": "fastdissect.load, on OUTPUT_FOLDER/fastdissect",
    "imresize": "Pillow's Image.resize",
}


def __getattr__(name: str) -> Any:
    raise refuse(__name__, name, {old: f"use {new}" for old, new in _INSTEAD.items()})
