"""The report's data folder: what the page reads.

data/index.js              the run: vocabulary, layers, sizes
data/concepts.js           every concept's best units
data/layer-<i>.js          a layer's units
data/summary-<i>.js        a layer's figures and bar graph, where there are too many for the page itself
data/detail-<i>-<j>.js     rankings and top images, read when a unit is opened
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastdissect.layer import LayerDissection
from fastdissect.reports.facts import network_name
from fastdissect.reports.json_scripts import put_script
from fastdissect.reports.layer_data import CHUNK, SHOWN_UNITS, best_rows, layer_details, layer_table
from fastdissect.reports.leading import BestUnits
from fastdissect.reports.palette import display_order
from fastdissect.reports.pictures import COLUMNS, Sheets
from fastdissect.results import Dissection
from fastdissect.storage import layer_folder

__all__ = ["write_data"]


def write_data(
    dissection: Dissection, drawn: list[Sheets | None], size: tuple[int, int], folder: Path
) -> None:
    """Write the results as scripts.

    Args:
        drawn: every layer's sheets; None: no pictures.
        size: height and width of a tile in pixels.
        folder: the report's.
    """

    def put(name: str, value: Any) -> None:
        (folder / "data" / f"{name}.js").write_bytes(put_script(name, value))

    concepts = dissection.concepts
    order = display_order(concepts.categories)
    put(
        "index",
        {
            "network": network_name(dissection.run),
            "categories": list(concepts.categories),
            "order": [concepts.categories.index(q) for q in order],
            "concepts": [
                list(row)
                for row in zip(
                    concepts.numbers.tolist(), concepts.names, concepts.category.tolist(), strict=True
                )
            ],
            "chunk": CHUNK,
            "columns": COLUMNS,
            "tile": list(size),
            "layers": [
                _layer_entry(layer, sheets, len(dissection.image_names))
                for layer, sheets in zip(dissection.values(), drawn, strict=True)
            ],
        },
    )
    best_units = BestUnits(len(concepts), SHOWN_UNITS)
    for number, (layer, sheets) in enumerate(zip(dissection.values(), drawn, strict=True)):
        put(f"layer-{number}", layer_table(layer, sheets))
        details = layer_details(number, layer, sheets, dissection.image_names, best_units)
        for chunk, rows in enumerate(details):
            put(f"detail-{number}-{chunk}", rows)
    put("concepts", best_rows(best_units, len(concepts)))


def _layer_entry(layer: LayerDissection, sheets: Sheets | None, images: int) -> dict[str, Any]:
    height, width = layer.upsampling.size
    return {
        "name": layer.name,
        "folder": layer_folder(layer.name),
        "units": layer.units_count,
        "undetermined": layer.undetermined,
        "tiles": 0 if sheets is None or not len(sheets.units) else int(sheets.images.shape[1]),
        "pixels": images * height * width,  # what a unit's area is a share of
    }
