"""The detector bar graph: how many units detect each label (METHODS 1.5, "display order").

Drawn with a Jinja template rather than a chart library: the picture takes the page's colours by night and by
day, every bar is a link, it weighs a few kB, and the same results are the same bytes.

    320 |  #
        |  #  #        #           one bar a label, its height the number of units
        |  #  #  #     #  #        whose best label it is
        +-----------------------
           s  g  c     r  w
           k  r  a     e  o        labels, upright
           y  a  r     d  o
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fastdissect.reports.palette import display_order

__all__ = ["Bar", "BarGraph", "Detector", "Group", "bar_graph", "group_bars"]


class Detector(NamedTuple):
    """One unit that detects something: its best label, that label's category, and the score."""

    label: str
    category: str
    iou: float


@dataclass(frozen=True)
class Bar:
    """One label."""

    label: str
    units: int
    best: float
    x: float = 0.0
    height: float = 0.0
    short: str = ""  # the label as far as there is room


@dataclass(frozen=True)
class Group:
    """One category's bars."""

    category: str
    units: int
    bars: tuple[Bar, ...]
    x: float = 0.0
    width: float = 0.0


@dataclass(frozen=True)
class BarGraph:
    """Bars with their places, in pixels; y grows downwards from the top of the plot."""

    groups: tuple[Group, ...]
    width: float
    plot_top: float
    plot_height: float
    label_height: float
    bar_width: float
    pitch: float
    ticks: tuple[tuple[int, float], ...]  # number of units, y
    legend: tuple[tuple[float, float, int], ...]  # x, y and index of the group

    @property
    def floor(self) -> float:
        return self.plot_top + self.plot_height

    @property
    def height(self) -> float:
        return self.floor + self.label_height


def group_bars(detectors: Iterable[Detector], categories: Sequence[str]) -> tuple[Group, ...]:
    """Return the bars, grouped by category.

    Categories in display order; inside, by number of units, then by best score, both descending (then by
    name, so that the order is one). A label seen in several categories is drawn under its most frequent one,
    the earliest shown of equals, with the units of all of them. A category without bars is left out.

    >>> [g.category for g in group_bars([Detector("sky", "part", 0.1), Detector("red", "color", 0.2)], ["color", "part"])]
    ['part', 'color']
    """
    order = display_order(categories)
    place = {q: i for i, q in enumerate(order)}
    by_label: dict[str, list[Detector]] = {}
    for detector in detectors:
        by_label.setdefault(detector.label, []).append(detector)
    rows: dict[str, list[Bar]] = {q: [] for q in order}
    for label, found in by_label.items():
        seen = [d.category for d in found]
        home = min(set(seen), key=lambda q: (-seen.count(q), place[q]))
        rows[home].append(Bar(label, len(found), max(d.iou for d in found)))
    groups = []
    for category, bars in rows.items():
        if bars:
            bars.sort(key=lambda bar: (-bar.units, -bar.best, bar.label))
            groups.append(Group(category, sum(b.units for b in bars), tuple(bars)))
    return tuple(groups)


_LETTER = 5.9  # mean width of a letter at 11 px; only a guess, room is left
_LONGEST = 24  # letters of a label
_GAP = 18.0  # between groups
_LEFT, _RIGHT = 34.0, 10.0


def bar_graph(groups: Sequence[Group], *, plot_height: float = 148.0, least_width: float = 640.0) -> BarGraph:
    """Place the bars: wide ones where there are few, a scrolling picture where there are many."""
    count = sum(len(g.bars) for g in groups)
    highest = max((b.units for g in groups for b in g.bars), default=0)
    pitch = min(34.0, max(15.0, (1100.0 - _GAP * len(groups)) / max(count, 1)))
    step = next(s for p in range(10) for s in (10**p, 2 * 10**p, 5 * 10**p) if highest <= 5 * s)
    top = max(step, -(-highest // step) * step)
    placed, x, longest = [], _LEFT + 6, 0
    for group in groups:
        bars = []
        for i, bar in enumerate(group.bars):
            short = bar.label if len(bar.label) <= _LONGEST else bar.label[: _LONGEST - 1].rstrip() + "…"
            longest = max(longest, len(short))
            height = plot_height * bar.units / top
            bars.append(Bar(bar.label, bar.units, bar.best, x + i * pitch, height, short))
        placed.append(Group(group.category, group.units, tuple(bars), x, len(bars) * pitch))
        x += len(bars) * pitch + _GAP
    width = max(least_width, x - _GAP + _RIGHT)
    legend: list[tuple[float, float, int]] = []
    lx, ly = _LEFT + 6, 14.0
    for i, group in enumerate(groups):
        room = 36 + _LETTER * len(f"{group.category} {group.units} units, {len(group.bars)} labels")
        if lx + room > width and legend:
            lx, ly = _LEFT + 6, ly + 20
        legend.append((lx, ly, i))
        lx += room
    plot_top = ly + 22
    ticks = tuple((n, plot_top + plot_height * (1 - n / top)) for n in range(0, top + 1, step))
    return BarGraph(
        groups=tuple(placed),
        width=round(width, 1),
        plot_top=plot_top,
        plot_height=plot_height,
        label_height=14 + _LETTER * longest,
        bar_width=round(min(pitch * 0.64, 18.0), 1),
        pitch=pitch,
        ticks=ticks,
        legend=tuple(legend),
    )
