"""The sheets of a report: whose pictures are drawn, from which images, and what the page says of the others."""

from __future__ import annotations

from pathlib import Path

from fastdissect.datasets.protocol import Dataset
from fastdissect.errors import SettingError
from fastdissect.reports.pictured import pictured_units
from fastdissect.reports.pictures import Sheets
from fastdissect.results import Dissection
from fastdissect.storage import layer_folder
from fastdissect.top_images import top_images as best_images

__all__ = ["about_pictures", "check_images", "chosen_sheets"]


def chosen_sheets(
    dissection: Dissection, top: int, pictures: int | None, folder: Path
) -> list[Sheets | None]:
    """Every layer's units that get pictures, and their top images; None where the run kept nothing to draw from."""
    layers = list(dissection.values())
    able = [layer.maxima is not None and layer.activations is not None for layer in layers]
    chosen = iter(pictured_units([layer for layer, can in zip(layers, able, strict=True) if can], pictures))
    drawn: list[Sheets | None] = []
    for layer, can in zip(layers, able, strict=True):
        if not can:
            drawn.append(None)
            continue
        assert layer.maxima is not None
        units = next(chosen)
        own = folder / "images" / layer_folder(layer.name)
        own.mkdir()
        maxima = layer.maxima if len(units) == layer.units_count else layer.maxima[:, units]
        drawn.append(Sheets(layer, units, best_images(maxima, top), own))
    return drawn


def check_images(dissection: Dissection, dataset: Dataset, drawn: list[Sheets]) -> None:
    """The images that will be drawn must be the run's; the data set may hold more, where a run took the first."""
    expected = dissection.image_names
    advice = "open the data set of the run, or pass None for a report without pictures"
    if len(dataset) < len(expected):
        raise SettingError(
            f"expected the run's {len(expected):,} images; got {dataset.name} with {len(dataset):,}; {advice}"
        )
    for image in sorted({i for sheets in drawn for i in sheets.images.ravel().tolist()}):
        if dataset.image_name(image) != expected[image]:
            raise SettingError(
                f"expected image {image} to be {expected[image]!r}; got {dataset.image_name(image)!r} of "
                f"{dataset.name}; {advice}"
            )


def about_pictures(
    dissection: Dissection, drawn: list[Sheets | None], size: tuple[int, int]
) -> tuple[str, str]:
    """Say why units have no pictures, and which command draws them; both empty where all have them."""
    if not all(size):
        return "This report was written without its data set, so the units have no pictures.", ""
    some = (
        "The run kept no activations of some layers, so their units have no pictures."
        if None in drawn
        else ""
    )
    units = sum(layer.units_count for layer in dissection.values())
    shown = sum(len(sheets.units) for sheets in drawn if sheets is not None)
    if all(sheets is None or len(sheets.units) == sheets.layer.units_count for sheets in drawn):
        return some, ""
    which = ": those of the highest IoU, every layer and every concept in its turn" if shown else ""
    return (
        f"{shown:,} of {units:,} units have pictures{which}. {some}".rstrip(),
        "fastdissect report RUN --pictures all",
    )
