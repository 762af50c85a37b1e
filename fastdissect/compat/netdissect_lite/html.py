"""`generate_html_summary`: the report of one layer, where NetDissect-Lite puts it."""

from __future__ import annotations

import dataclasses
import sys
import warnings
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from fastdissect.compat.netdissect_lite.features import LayerFeatures
from fastdissect.compat.netdissect_lite.segmentation import SegmentationData
from fastdissect.compat.netdissect_lite.tallying import Row, same_scores, tally_rows
from fastdissect.errors import SettingError, nearest
from fastdissect.files import write_bytes
from fastdissect.layer import LayerDissection
from fastdissect.progress import progress_bar
from fastdissect.reports import write_report
from fastdissect.results import Dissection
from fastdissect.storage import layer_folder

if TYPE_CHECKING:
    from fastdissect.compat.netdissect_lite.operator import FeatureOperator

__all__ = ["generate_html_summary"]

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{name}</title>
<meta http-equiv="refresh" content="0; url={link}"></head>
<body><p><a href="{link}">The report of {name}</a></p>
<p>Units are numbered from 0 there; tally.csv, as NetDissect-Lite's, numbers them from 1.</p></body></html>
"""


def generate_html_summary(
    ds: SegmentationData,
    layer: str,
    maxfeature: Any = None,
    features: Any = None,
    thresholds: Any = None,
    imsize: int | None = None,
    imscale: int = 72,
    tally_result: list[Row] | None = None,
    gridwidth: int | None = None,
    gap: int = 3,
    limit: int | None = None,
    force: bool = False,
    verbose: bool = False,
) -> None:
    """Write the report of a layer: OUTPUT_FOLDER/html/<layer>.html, which opens from disk.

    It is fastdissect's own report, in the folder html/<layer>/; the page html/<layer>.html leads there. It is written
    anew every time.

    Args:
        ds: `FeatureOperator.data`.
        layer: its name in settings.FEATURE_NAMES.
        maxfeature: [images, units], by which top images are chosen; None: the features' own.
        features: of `feature_extraction`, or an array; None: those that were extracted last.
        thresholds: [units]; None: the exact ones of the features.
        imsize: pixels of a picture's longer side; None: settings.IMG_SIZE.
        tally_result: what `tally` returned; None: the same, computed. Another one is an error.
        imscale, gridwidth, gap, limit: Lite's page layout; ours has its own and shows all units. Other values than
            the default are a warning.
        force: without effect: nothing old is ever shown.
        verbose: a progress bar.

    Raises:
        SettingError: an unknown layer, or a tally, maxima or thresholds that do not go with the features.
    """
    del force
    if not isinstance(ds, SegmentationData):
        raise SettingError(f"expected ds=fo.data of a FeatureOperator; got {type(ds).__name__}")
    _warn_of_layout(imscale=(imscale, 72), gridwidth=(gridwidth, None), gap=(gap, 3), limit=(limit, None))
    operator = ds.operator
    settings = operator.settings
    features = _own_features(operator, layer) if features is None else features
    if thresholds is None:
        thresholds = operator.quantile_threshold(features)
    found = operator.layer_of(features, thresholds, layer)
    if tally_result is not None and not same_scores(tally_result, tally_rows(found, operator.broden.zero)):
        raise SettingError(
            "expected tally_result=fo.tally(features, thresholds) of these very features and thresholds; got other "
            "scores; leave it out, or pass all three together"
        )
    if maxfeature is not None:
        found = _with_maxima(found, maxfeature)
    page = settings.output / "html" / f"{layer_folder(layer)}.html"
    longer = settings.image_size if imsize is None else imsize
    if longer < 1:
        raise SettingError(f"expected imsize in pixels, 1 or more; got {imsize!r}")
    with progress_bar(f"report of {layer}", found.units_count, show=verbose or None) as advance:
        done = 0

        def progress(now: int, _total: int) -> None:
            nonlocal done
            advance(now - done)
            done = now

        write_report(
            _run_of(operator, features, found),
            operator.broden,
            page.with_suffix(""),
            top_images=settings.top_images,
            pictures=None,  # Lite draws every unit
            tile=max(1, round(longer / 2)),  # a tile is drawn at twice its size
            progress=progress,
        )
    link = quote(f"{layer_folder(layer)}/index.html")
    write_bytes(page, _PAGE.format(name=escape(layer), link=link).encode())
    if isinstance(features, LayerFeatures):
        features.extraction.reported.add(features.name)
    sys.stdout.write(f"report of {layer}: {page}\n")  # as Lite says where its page lies


def _warn_of_layout(**arguments: tuple[Any, Any]) -> None:
    for name, (value, default) in arguments.items():
        if value != default:
            warnings.warn(
                f"generate_html_summary({name}={value!r}) has no effect: the report has a layout of its own and shows "
                "all units",
                UserWarning,
                stacklevel=3,
            )


def _own_features(operator: FeatureOperator, layer: str) -> LayerFeatures:
    handles = [] if operator.extraction is None else operator.extraction.features
    named = dict(zip(operator.settings.layers, handles, strict=False))
    if layer not in named:
        raise SettingError(
            f"expected features=, or a layer that feature_extraction has run ({', '.join(named) or 'none so far'}); "
            f"got {layer!r}{nearest(layer, named)}"
        )
    return named[layer]


def _with_maxima(found: LayerDissection, maxfeature: Any) -> LayerDissection:
    maxima = np.asarray(maxfeature, np.float32)
    if maxima.shape != (found.shape[0], found.units_count):
        raise SettingError(
            f"expected maxfeature [images, units] = {(found.shape[0], found.units_count)}; got {maxima.shape}; pass "
            "maxfeature[layer_id] of the same layer"
        )
    return dataclasses.replace(found, maxima=maxima)


def _run_of(operator: FeatureOperator, features: Any, found: LayerDissection) -> Dissection:
    broden = operator.broden
    run: dict[str, Any] = {"data": broden.name}
    if isinstance(features, LayerFeatures):
        run = features.extraction.dissection.run
    names = tuple(broden.image_name(i) for i in range(len(broden)))
    return Dissection({found.name: found}, found.profile, found.concepts, names, run)
