"""The tutorial's figures: taken from the studies' pages, and two that put several of their results together."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

from PIL import Image

import fastdissect as fd
from fastdissect.methods.explanation import Explanation, explain, explain_each
from fastdissect.methods.rotation.results import summary_at
from fastdissect.reports.pictures import masked_tile
from fastdissect.reports.studies.figures import figure_files, study_figure

__all__ = ["gather", "say_numbers"]

CUTS = (0.04, 0.1, 0.2)
SHOWN = 4  # units beside each explained picture
PIXELS = 900  # width of that picture
# Name in the tutorial: figure of a page.
TAKEN = {
    "rotation-categories": "rotation/report/figures/categories",
    "chance-units": "plain/chance/figures/conv5-units",
    "chance-null": "plain/chance/figures/conv5-null",
    "training": "training/compared/figures/training",
    "variants": "variants/compared/figures/unique-detectors-by-category",
    "depth": "depth/figures/layers-by-category",
    "ablation-units": "plain/ablation/figures/units",
}


def gather(out: Path, folder: Path, decisions: list[int]) -> Path:
    """Write the figures into `folder`; decisions: images whose explanations become a picture."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in TAKEN.items():
        shutil.copyfile(out / f"{source}.svg", folder / f"{name}.svg")
    (folder / "rotation.svg").write_bytes(_rotation(out))
    found = explain(fd.load(out / "plain"), decisions, layer="conv5", top=SHOWN)
    (folder / "explanations.png").write_bytes(_explanations(found))
    return folder


def rotated(out: Path) -> dict[float, list[fd.LayerDissection]]:
    """The rotated layers: alpha -> one for each seed; at 0 the layer itself."""
    run = fd.load(out / "rotation" / "run")
    found: dict[float, list[fd.LayerDissection]] = {}
    for name, layer in run.items():
        alpha = float(name.partition("-alpha")[2] or 0)
        found.setdefault(alpha, []).append(layer)
    return dict(sorted(found.items()))


def _rotation(out: Path) -> bytes:
    """Unique detectors against alpha, at several cuts, and the mean of the units' best IoU."""
    layers = rotated(out)
    with study_figure(6.8, 3.1, columns=2) as (figure, (counts, scores)):
        for cut in CUTS:
            found = {a: [summary_at(one, cut).unique_detectors for one in own] for a, own in layers.items()}
            means = [sum(own) / len(own) for own in found.values()]
            drawn = counts.plot(list(found), means, "o-", label=f"IoU > {cut:g}")
            low, high = [min(own) for own in found.values()], [max(own) for own in found.values()]
            counts.fill_between(list(found), low, high, alpha=0.2, color=drawn[0].get_color(), linewidth=0)
        counts.set(xlabel="alpha", ylabel="unique detectors", ylim=(0, None))
        counts.yaxis.get_major_locator().set_params(integer=True)
        counts.legend()
        best = {a: [one.labels.score.max(1) for one in own] for a, own in layers.items()}
        scores.boxplot(
            [[float(v) for own in values for v in own] for values in best.values()],
            positions=list(best),
            widths=0.1,
            showfliers=False,
            manage_ticks=False,
        )
        scores.set(xlabel="alpha", ylabel="best IoU of a unit", xlim=(-0.1, 1.1), ylim=(0, None))
        return figure_files(figure, "rotation", "").svg


def _explanations(found: list[Explanation]) -> bytes:
    """A row a decision: the picture, then where each of the units that speak most for the decision is active."""
    rows = len(found)
    with study_figure(7.4, 1.62 * rows, rows, SHOWN + 1, squeeze=False) as (figure, axes):
        for row, one in zip(axes, found, strict=True):
            view = one.views[0]
            truth = "right" if one.correct else f"wrong: {one.names[one.true or 0]}"
            pictures = [(one.pixels, f"{view.name} ({truth})")]
            table = view.units.set_index("unit")
            for unit in view.shown:
                about = table.loc[unit]
                pictures.append(
                    (
                        masked_tile(one.pixels, one.segmentation(unit)),
                        f"{about['concept']}\n{about['contribution']:+.1f} by unit {unit}",
                    )
                )
            for place in row:
                place.set_axis_off()
            for place, (pixels, title) in zip(row, pictures, strict=False):
                place.imshow(pixels)
                place.set_title(title, fontsize=7, loc="left")
        drawn = figure_files(figure, "explanations", "").png
    with Image.open(io.BytesIO(drawn)) as picture:
        height = round(picture.height * PIXELS / picture.width)
        small = picture.convert("RGB").resize((PIXELS, height), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.quantize(128, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)  # a tenth of the bytes
    return file.getvalue()


def say_numbers(out: Path) -> None:
    """Print the numbers that the tutorial quotes and no page shows together."""
    print("\nrotation, means over the seeds: unique detectors by cut, mean of the units' best IoU")
    for alpha, layers in rotated(out).items():
        unique = [sum(summary_at(one, cut).unique_detectors for one in layers) / len(layers) for cut in CUTS]
        iou = sum(float(one.labels.score.max(1).mean()) for one in layers) / len(layers)
        counts = "  ".join(f"{cut:g}: {value:4.1f}" for cut, value in zip(CUTS, unique, strict=True))
        print(f"  alpha {alpha:g}   {counts}   IoU {iou:.3f}")
    run = fd.load(out / "plain")
    errors, covered, named = [], [], []
    for one in explain_each(run, range(len(run.image_names)), layer="conv5", top=SHOWN):
        errors.append(one.views[0].error)
        covered.append(one.views[0].covered)
        named.append(one.views[0].with_concept)
    print(
        f"explanations of {len(errors)} images: largest gap between a logit and its parts {max(errors):.1e} of "
        f"their sizes; {SHOWN} units cover {100 * sum(covered) / len(covered):.0f} % of what speaks in favour on "
        f"average, units with a concept {100 * sum(named) / len(named):.0f} %"
    )
