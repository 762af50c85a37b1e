"""The tutorial's figures. They compute nothing."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from decisions import Decision, strongest
from likeness import Sums
from PIL import Image

from fastdissect.reports.pictures import masked_tile
from fastdissect.reports.studies.figures import INK, QUIET, category_colours, figure_files, study_figure
from fastdissect.reports.studies.semantics_evidence import evidence_tile

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["concepts", "contrasts", "distances", "explanations", "filters", "layers", "sums"]

PIXELS = 1100  # width of the picture of explanations
TILES = 3  # units, and as many concepts, of a decision
FOR, AGAINST = "#3f74b8", "#bd5275"


def _write(figure: Any, folder: Path, name: str) -> None:
    (folder / f"{name}.svg").write_bytes(figure_files(figure, name, "").svg)


def concepts(folder: Path, table: pd.DataFrame) -> None:
    """Every concept: its best single filter, the published combination, the one with a logarithm and a bias."""
    half = -(-len(table) // 2)
    colours = category_colours(table["category"])
    with study_figure(7.4, 0.155 * half + 0.8, columns=2) as (figure, axes):
        for axis, own in zip(axes, (table.iloc[:half], table.iloc[half:]), strict=True):
            rows = np.arange(len(own))
            both = own[["single", "published", "bce"]].to_numpy()
            axis.hlines(rows, both.min(1), both.max(1), color="#d5d1c8", linewidth=1, zorder=1)
            axis.plot(own["everywhere"], rows, "|", color="#a9a49a", ms=7, label="everything marked")
            axis.plot(own["single"], rows, "o", color=QUIET, mfc="white", label="best single filter")
            axis.plot(own["published"], rows, "o", color="#c07f22", label="combined, as published")
            axis.plot(own["bce"], rows, "D", color="#3f74b8", ms=3.4, label="combined, logarithm and bias")
            axis.set_yticks(rows, own["concept"], fontsize=7)
            for tick, category in zip(axis.get_yticklabels(), own["category"], strict=True):
                tick.set_color(colours[category])
            axis.set(xlim=(0, 1.05 * float(table[["single", "everywhere", "published", "bce"]].max().max())))
            axis.set(ylim=(half - 0.4, -0.6), xlabel="IoU on val")
            axis.grid(visible=False, axis="y")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=4)
        _write(figure, folder, "concepts")


def layers(folder: Path, table: pd.DataFrame) -> None:
    """Mean IoU and the share of concepts that gain, by layer."""
    with study_figure(7.2, 2.7, columns=2) as (figure, (scores, gains)):
        places = np.arange(len(table))
        for name, label, style in (
            ("single", "best single filter", {"color": QUIET, "mfc": "white"}),
            ("published", "combined, as published", {"color": "#c07f22"}),
            ("bce", "combined, logarithm and bias", {"color": "#3f74b8"}),
        ):
            scores.plot(places, table[name], "o-", label=label, **style)
        scores.set(ylabel="mean IoU on val", ylim=(0, None))
        for name, colour in (("published_gain", "#c07f22"), ("bce_gain", "#3f74b8")):
            gains.plot(places, 100 * table[name], "o-", color=colour)
        gains.set(ylabel="concepts that gain, %", ylim=(0, 102))
        gains.legend(*scores.get_legend_handles_labels(), loc="lower left")
        for axis in (scores, gains):
            axis.set_xticks(places, table["layer"])
        _write(figure, folder, "layers")


def filters(folder: Path, found: Mapping[str, pd.DataFrame], sharing: pd.DataFrame) -> None:
    """Filters that concepts need, the best number of them, and by how many concepts a filter is chosen."""
    with study_figure(7.4, 2.7, columns=3) as (figure, (needed, best, shared)):
        colours = {"as published": "#c07f22", "logarithm and bias": "#3f74b8"}
        found = {label: table[table["needed"] > 0] for label, table in found.items()}  # 0: not known
        sizes = sorted({int(f) for table in found.values() for f in (*table["needed"], *table["best"])})
        for axis, column, what in (
            (needed, "needed", "90 % of the full score"),
            (best, "best", "the highest score"),
        ):
            for label, table in found.items():
                share = [100 * float((table[column] <= size).mean()) for size in sizes]
                axis.step(np.arange(len(sizes)), share, "o-", where="post", color=colours[label], label=label)
            axis.set_xticks(np.arange(len(sizes)), [str(size) for size in sizes])
            axis.set(xlabel=f"filters for {what}", ylim=(0, 104))
        needed.set(ylabel="concepts, %")
        needed.legend(loc="upper left")
        shared.bar(sharing["concepts"], sharing["filters"], color=QUIET, width=0.7)
        shared.set(xlabel="concepts that choose a filter", ylabel="filters")
        shared.tick_params(axis="x", labelsize=6)
        shared.grid(visible=False, axis="x")
        _write(figure, folder, "filters")


def sums(folder: Path, found: Mapping[str, Sums]) -> None:
    """How far down the list of all pairs the right one stands."""
    with study_figure(7.4, 3.0) as (figure, axis):
        for label, own in found.items():
            places = np.sort(own.rank) + 1
            share = 100 * np.arange(1, len(places) + 1) / len(places)
            axis.step(np.r_[1, places], np.r_[0, share], where="post", label=label)
        pairs = max(own.pairs for own in found.values())
        line = np.geomspace(1, pairs, 200)
        axis.plot(line, 100 * line / pairs, "--", color=QUIET, label="chance")
        axis.set(
            xscale="log",
            xlim=(1, pairs),
            ylim=(0, 101),
            xlabel=f"place of the right pair among all (up to {pairs:,})",
        )
        axis.set(ylabel="composed concepts, %")
        axis.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1,000"])
        axis.minorticks_off()
        figure.legend(loc="outside right center")
        _write(figure, folder, "sums")


def distances(folder: Path, table: pd.DataFrame) -> None:
    """How far the vectors of two networks are apart, as a share of what names at random give."""
    with study_figure(6.6, 0.42 * len(table) + 0.7) as (figure, axis):
        rows = np.arange(len(table))
        for column, label, shift, colour in (
            ("net2vec", "Net2Vec vectors", -0.18, "#c07f22"),
            ("semantic", "semantic vectors", 0.18, "#3f74b8"),
        ):
            axis.barh(rows + shift, 100 * table[column], 0.34, color=colour, label=label)
        axis.axvline(100, color=INK, linewidth=0.8, linestyle="--")
        axis.set_yticks(rows, table["what"])
        axis.invert_yaxis()
        axis.set(xlabel="distance, % of the distance with the names shuffled", xlim=(0, 105))
        axis.grid(visible=False, axis="y")
        axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
        _write(figure, folder, "distances")


def contrasts(folder: Path, found: Sequence[Decision]) -> None:
    """Of each wrong decision: what speaks for it and not for the right class, by units and by concepts."""
    wrong = [one for one in found if not one.concepts.correct]
    with study_figure(7.4, 1.95 * len(wrong), len(wrong), 2, squeeze=False) as (figure, axes):
        for row, one in zip(axes, wrong, strict=True):
            own = one.units.view("difference")
            view = next(v for v in one.concepts.views if v.role == "difference")
            assert own is not None
            table = own.units.reindex(
                own.units["contribution"].abs().sort_values(ascending=False).index
            ).head(6)
            units = [(f"{r.concept} ({r.unit})", r.contribution) for r in table.itertuples()]
            told = float(table["contribution"].sum())
            units += [("all other units", own.logit - own.rest - told), ("bias", own.rest)]
            parts = sorted(
                zip(view.names, view.evidence.contributions, strict=True), key=lambda p: -abs(p[1])
            )
            shown = [(name, float(value)) for name, value in parts[:6]]
            shown += [("all other concepts", float(sum(value for _, value in parts[6:])))]
            shown += [("residual", view.evidence.residual), ("bias", view.evidence.rest)]
            for axis, bars, what in ((row[0], units, "by units"), (row[1], shown, "by concepts")):
                values = np.array([value for _, value in bars])
                axis.barh(
                    np.arange(len(bars)), values, 0.7, color=[FOR if v > 0 else AGAINST for v in values]
                )
                axis.set_yticks(np.arange(len(bars)), [name for name, _ in bars], fontsize=7)
                axis.invert_yaxis()
                axis.axvline(0, color=INK, linewidth=0.7)
                axis.grid(visible=False, axis="y")
                axis.set_title(f"{view.title}, {what}", fontsize=8)
                axis.tick_params(axis="x", labelsize=7)
        _write(figure, folder, "contrasts")


def explanations(folder: Path, found: Sequence[Decision]) -> None:
    """A row a decision: the picture; units most in favour, and where they are active; concepts, and their evidence."""
    with study_figure(9.2, 1.5 * len(found), len(found), 1 + 2 * TILES, squeeze=False) as (figure, axes):
        for row, one in zip(axes, found, strict=True):
            own, view = one.units.views[0], one.concepts.views[0]
            truth = "right" if one.units.correct else f"wrong: {one.units.names[one.units.true or 0]}"
            pixels = one.units.pixels
            tiles: list[tuple[Any, str] | None] = [(pixels, f"{own.name}\n({truth})")]
            table = own.units.set_index("unit")
            for unit in own.shown[:TILES]:
                about = table.loc[unit]
                said = f"{about['concept']}\n{about['contribution']:+.1f}, unit {unit}"
                tiles.append((masked_tile(pixels, one.units.segmentation(unit)), said))
            tiles += [None] * (1 + TILES - len(tiles))
            peak = float(view.evidence.maps.max()) if len(view.names) else 0.0
            for name, value, place in strongest(view, TILES):
                tiles.append(
                    (evidence_tile(pixels, view.evidence.maps[place], peak), f"{name}\n{value:+.1f}")
                )
            for axis in row:
                axis.set_axis_off()
            for place, tile in enumerate(tiles):
                if tile is not None:
                    row[place].imshow(tile[0])
                    colour = INK if place == 0 else "#8a5a14" if place <= TILES else "#2c568f"
                    row[place].set_title(tile[1], fontsize=7, loc="left", color=colour)
        drawn = figure_files(figure, "explanations", "").png
    with Image.open(io.BytesIO(drawn)) as picture:
        height = round(picture.height * PIXELS / picture.width)
        small = picture.convert("RGB").resize((PIXELS, height), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.quantize(160, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    (folder / "explanations.png").write_bytes(file.getvalue())
