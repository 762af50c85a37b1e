"""`write_report`: a run as a folder that opens from disk, without server or network.

report/index.html               summary, gallery, panels
report/detectors-<layer>.svg    the bar graph of a layer, for a paper
report/assets/                  the page's style and behaviour
report/data/                    the results as scripts, since a page on file:// may not fetch
report/images/<layer>/<unit>.jpg   the unit's top images, masked; one file a unit
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fastdissect.datasets.labelled import without_unlabelled
from fastdissect.datasets.protocol import Dataset
from fastdissect.errors import SettingError
from fastdissect.layer import LayerDissection
from fastdissect.reports.data_files import write_data
from fastdissect.reports.facts import layer_facts, network_name
from fastdissect.reports.folder import atomic_folder
from fastdissect.reports.image_reading import tile_size
from fastdissect.reports.pages import ASSETS, asset, detector_svg, index_page
from fastdissect.reports.pictures import COLUMNS, Sheets, write_sheets
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
        progress: called with the number of units drawn and their total.

    Returns:
        The page to open, `path / "index.html"`.

    Raises:
        SettingError: counts that are not positive, or another data set than the run's.
        OutputError: the folder holds something else, or cannot be written.

    Example:
        >>> write_report(fd.load("out"), fd.datasets.open_dataset("shapes"), "out/report")  # doctest: +SKIP
    """
    for what, value in (("top_images", top_images), ("tile", tile)):
        if value < 1:
            raise SettingError(f"expected {what} of at least 1; got {value}")
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
        drawn = [_sheets(layer, top_images, folder) if all(size) else None for layer in dissection.values()]
        if dataset is not None:
            _check_images(dissection, dataset, [sheets for sheets in drawn if sheets is not None])
        _write_pages(dissection, drawn, size, folder)
        write_data(dissection, drawn, size, folder)
        if dataset is not None:
            write_sheets(dataset, [sheets for sheets in drawn if sheets is not None], size, progress)
    return path / "index.html"


def _sheets(layer: LayerDissection, count: int, folder: Path) -> Sheets | None:
    """The layer's top images, or None where the run kept nothing to draw from."""
    if layer.maxima is None or layer.activations is None:
        return None
    sheets = Sheets(layer, layer.top_images(count), folder / "images" / layer_folder(layer.name))
    sheets.folder.mkdir()
    return sheets


def _check_images(dissection: Dissection, dataset: Dataset, drawn: list[Sheets]) -> None:
    """The images that will be drawn must be the run's; the data set may hold more, where a run took the first."""
    expected = dissection.image_names
    advice = "open the data set of the run, or pass None for a report without pictures"
    if len(dataset) < len(expected):
        raise SettingError(
            f"expected the run's {len(expected):,} images; got {dataset.name} with {len(dataset):,}; {advice}"
        )
    for image in sorted({int(i) for sheets in drawn for i in sheets.images.ravel()}):
        if dataset.image_name(image) != expected[image]:
            raise SettingError(
                f"expected image {image} to be {expected[image]!r}; got {dataset.image_name(image)!r} of "
                f"{dataset.name}; {advice}"
            )


def _write_pages(
    dissection: Dissection, drawn: list[Sheets | None], size: tuple[int, int], folder: Path
) -> None:
    categories, network = dissection.concepts.categories, network_name(dissection.run)
    layers = [layer_facts(i, layer) for i, layer in enumerate(dissection.values())]
    for facts in layers:
        name = f"detectors-{layer_folder(facts.name)}.svg"
        (folder / name).write_bytes(detector_svg(facts, categories, network))
    pictures = ""
    if not all(size):
        pictures = "This report was written without its data set, so the units have no pictures."
    elif None in drawn:
        pictures = "The run kept no activations of some layers, so their units have no pictures."
    page = index_page(dissection, layers, [layer_folder(name) for name in dissection], pictures)
    (folder / "index.html").write_bytes(page)
