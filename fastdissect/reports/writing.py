"""`write_report`: a run as a folder that opens from disk, without server or network.

report/index.html               summary, gallery, panels
report/detectors-<layer>.svg    the bar graph of a layer, for a paper
report/assets/                  the page's style and behaviour
report/data/                    the results as scripts, since a page on file:// may not fetch
report/images/<layer>/<unit>.jpg   the unit's top images, masked; one file a unit that has pictures
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fastdissect.datasets.labelled import without_unlabelled
from fastdissect.datasets.protocol import Dataset
from fastdissect.errors import SettingError
from fastdissect.reports.data_files import write_data
from fastdissect.reports.facts import layer_facts, network_name
from fastdissect.reports.folder import atomic_folder
from fastdissect.reports.image_reading import tile_size
from fastdissect.reports.json_scripts import put_script
from fastdissect.reports.pages import ASSETS, MANY, asset, detector_svg, index_page, layer_section
from fastdissect.reports.pictured import PICTURED
from fastdissect.reports.pictures import COLUMNS, Sheets, write_sheets
from fastdissect.reports.sheets import about_pictures, check_images, chosen_sheets
from fastdissect.results import Dissection
from fastdissect.storage import layer_folder

__all__ = ["write_report"]

_LARGEST = 65_500  # what a JPEG can be


def write_report(
    dissection: Dissection,
    dataset: Dataset | None,
    path: str | Path,
    *,
    top_images: int = 8,
    tile: int = 112,
    pictures: int | None = PICTURED,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the report of a run.

    Args:
        dissection: the results.
        dataset: where the images come from, the run's own; None: a report without pictures, and it says so.
        path: the report's folder. An older report there is replaced when the new one is whole.
        top_images: pictures a unit.
        tile: their longer side in CSS pixels; they are drawn at twice that, so that they are crisp on fine
            screens.
        pictures: units that get pictures; of more, those of the highest IoU, every layer and every concept in its
            turn (`pictured_units`), and the page says so. None: all.
        progress: called with the number of units drawn and their total.

    Returns:
        The page to open, `path / "index.html"`.

    Raises:
        SettingError: counts that are not positive (`pictures`: negative), or another data set than the run's.
        OutputError: the folder holds something else, or cannot be written.

    Example:
        >>> write_report(fd.load("out"), fd.datasets.open_dataset("shapes"), "out/report")  # doctest: +SKIP
    """
    for what, value in (("top_images", top_images), ("tile", tile)):
        if value < 1:
            raise SettingError(f"expected {what} of at least 1; got {value}")
    if pictures is not None and pictures < 0:
        raise SettingError(f"expected pictures of at least 0 units, or None for all; got {pictures}")
    if dataset is not None and dissection.profile.unlabelled == "removed":
        dataset = without_unlabelled(dataset)
    path = Path(path).absolute()
    with atomic_folder(path) as folder:
        for name in ("assets", "data", "images"):
            (folder / name).mkdir()
        for name in ASSETS:
            (folder / "assets" / name).write_bytes(asset(name))
        size = tile_size(dataset.image_size(), tile) if dataset is not None and len(dataset) else (0, 0)
        if -(-top_images // COLUMNS) * size[0] > _LARGEST or COLUMNS * size[1] > _LARGEST:
            raise SettingError(
                f"expected pictures that fit a JPEG of {_LARGEST:,} pixels a side; got {top_images} tiles of "
                f"{size[0]} x {size[1]} pixels in {COLUMNS} columns; ask for fewer or smaller ones"
            )
        drawn: list[Sheets | None] = [None] * len(dissection)
        if all(size):
            drawn = chosen_sheets(dissection, top_images, pictures, folder)
        sheets = [own for own in drawn if own is not None]
        if dataset is not None:
            check_images(dissection, dataset, sheets)
        _write_pages(dissection, drawn, size, folder)
        write_data(dissection, drawn, size, folder)
        if dataset is not None:
            write_sheets(dataset, sheets, size, progress)
    return path / "index.html"


def _write_pages(
    dissection: Dissection, drawn: list[Sheets | None], size: tuple[int, int], folder: Path
) -> None:
    categories, network = dissection.concepts.categories, network_name(dissection.run)
    layers = [layer_facts(i, layer) for i, layer in enumerate(dissection.values())]
    for facts in layers:
        name = f"detectors-{layer_folder(facts.name)}.svg"
        (folder / name).write_bytes(detector_svg(facts, categories, network))
        if len(layers) > MANY and facts is not layers[-1]:
            section = layer_section(facts, layer_folder(facts.name), categories)
            script = put_script(f"summary-{facts.number}", section)
            (folder / "data" / f"summary-{facts.number}.js").write_bytes(script)
    page = index_page(
        dissection,
        layers,
        [layer_folder(name) for name in dissection],
        about_pictures(dissection, drawn, size),
    )
    (folder / "index.html").write_bytes(page)
