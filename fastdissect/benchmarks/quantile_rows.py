"""The rows of the quantile: saved activations in the layout that the network gives, float32 and bfloat16."""

from __future__ import annotations

import functools
from fractions import Fraction
from pathlib import Path

from fastdissect.benchmarks.cases import Case
from fastdissect.benchmarks.correctness import rank_errors
from fastdissect.benchmarks.maps import as_bfloat16, bump_maps
from fastdissect.benchmarks.peers import CHECKOUTS, Field
from fastdissect.benchmarks.rounds import Contestant
from fastdissect.benchmarks.rows import HERE, Row
from fastdissect.benchmarks.sizes import Sizes
from fastdissect.benchmarks.work import Found

__all__ = ["quantile_rows"]

APART = "in memory, a unit's values side by side"
TAIL, LITE_TAIL = Fraction(1, 200), Fraction(5, 999)  # METHODS: NetDissect-Lite reads 994 of 999


def quantile_rows(sizes: Sizes, field: Field, folder: Path) -> list[Row]:
    """A row a shape and dtype."""
    rows = []
    for units, side, images in sizes.maps:
        maps = bump_maps(images, units, side)
        for wide in (True, False):
            kind = "float32" if wide else "bfloat16"
            case = Case(maps) if wide else Case(as_bfloat16(maps), "bfloat16")
            path = case.save(folder / f"quantile-{units}-{side}-{kind}")
            pairs = _exact(field, wide) + (_sketches(field) if wide else [])
            rows.append(
                Row(
                    "quantile",
                    f"{units} units of {side} x {side}, {images} images, {kind}",
                    "ns a value",
                    1e9 / maps.size,
                    (path, images),
                    tuple(contestant for contestant, _ in pairs),
                    tuple(functools.partial(_ranks, case, tail) for _, tail in pairs),
                    apart=frozenset(c.name for c, _ in pairs if c.note.startswith(APART)),
                )
            )
    return rows


def _ranks(case: Case, tail: Fraction, found: Found, _: Found) -> dict[str, float]:
    return rank_errors(case, found["thresholds"], tail)


def _exact(field: Field, wide: bool) -> list[tuple[Contestant, Fraction]]:
    """Ours and the exact methods; NumPy reads bfloat16 as float32, torch reads it as it is (and so is it handed over)."""
    where = f"{HERE}.quantiles:"
    found = [Contestant("fastdissect", where + "ours", note="streaming, from the network's layout")]
    names = ["numpy.partition"] + (["numpy.sort"] if wide else [])
    if "torch" in field.libraries:
        names += ["torch.topk"] + (["torch.quantile"] if wide else [])
    found += [Contestant(name, where + name.replace(".", "_"), note=APART) for name in names]
    return [(contestant, TAIL) for contestant in found]


def _sketches(field: Field) -> list[tuple[Contestant, Fraction]]:
    """Sketches of libraries that are installed, and of the checkouts that were given; with the tail each aims at."""
    found = []
    libraries = (
        ("datasketches", "DataSketches KLL", "datasketches_kll", "k = 1024"),
        ("datasketches", "DataSketches REQ", "datasketches_req", "k = 12"),
        ("crick", "crick t-digest", "crick_tdigest", "compression 100"),
    )
    for library, name, function, note in libraries:
        if library in field.libraries:
            found.append((Contestant(name, f"{HERE}.sketches:{function}", note=f"{APART}; {note}"), TAIL))
    modules = {"netdissect-lite": "lite", "dissect": "davidbau", "baukit": "baukit"}
    for name, path in field.paths.items():
        settings = {"path": str(path)}
        tail = LITE_TAIL if name == "netdissect-lite" else TAIL
        where = f"{HERE}.{modules[name]}:quantile"
        found.append((Contestant(CHECKOUTS[name].title, where, settings, "streaming sketch"), tail))
    return found
