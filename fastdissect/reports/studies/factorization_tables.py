"""The tables of the page of a coupled factorisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastdissect.methods.factorization.profiles import Profiles
from fastdissect.methods.factorization.reading import Reading
from fastdissect.methods.factorization.result import Factorization
from fastdissect.reports.studies.factorization_words import list_words
from fastdissect.reports.studies.page import Table

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "agreement_table",
    "baseline_table",
    "class_tables",
    "closest",
    "fit_table",
    "overview",
    "restart_table",
]

_ROWS = 40
_PAIRS = 10
_BASELINE = {
    "cluster_purity": "cluster purity", "cluster_entropy": "cluster entropy", "nmi": "NMI",
}  # fmt: skip


def overview(reading: Reading, digits: int | None = 3) -> pd.DataFrame:
    """A row a live factor: weight, and for each profile its first entry, purity, entropy and what it covers.

    Args:
        digits: of the weight on the page; None: all, and every factor in its order.
    """
    import pandas as pd

    live = [r for r in np.argsort(-reading.weight, kind="stable").tolist() if r not in reading.dead]
    live = sorted(live) if digits is None else live
    table = pd.DataFrame({"factor": live, "weight": reading.weight[live]})
    for place, (what, profile) in enumerate(reading.profiles.items()):
        if digits is not None and place:  # the page has room for one profile in full
            first = profile.summary()[["factor", what]]
            if what == "concept" and reading.lift is not None:
                words = reading.lift["concept"] + " " + reading.lift["lift"].map("{:.1f}x".format)
                first = reading.lift[["factor"]].assign(lift=words).drop_duplicates("factor")
            table = table.merge(first.rename(columns={"lift": "highest lift"}), on="factor", how="left")
            continue
        own = profile.summary().rename(
            columns={name: f"{what} {name}" for name in ("purity", "entropy", "covers")}
        )
        table = table.merge(own, on="factor", how="left")
    return table


def class_tables(reading: Reading, profile: Profiles) -> list[Table]:
    """What covers each entry; what no factor covers; for concepts, of what a factor has more than its part."""
    coverage = profile.coverage().sort_values("weight", ascending=False, kind="stable")
    coverage = coverage[coverage["size"] > 0]
    coverage = coverage.rename(
        columns={"factors": "covered by factors", "factor": "strongest factor", "weight": "its weight"}
    )
    if profile.what == "concept":
        coverage = coverage.rename(columns={"size": "pixels, in whole examples"})
    elif (coverage["size"] % 1 == 0).all():
        coverage = coverage.astype({"size": np.int64}).rename(columns={"size": "examples"})
    said = f"Covered by none: {list_words(list(profile.uncovered))}." if profile.uncovered else ""
    tables = [Table.of(coverage, said, rows=_ROWS, csv=f"coverage-{profile.what}")]
    if profile.what == "concept" and reading.lift is not None:
        words = reading.lift["concept"] + " " + reading.lift["lift"].map("{:.1f}x".format)
        first = words.groupby(reading.lift["factor"]).agg(lambda own: ", ".join(own.head(6)))
        listed = first.rename_axis("factor").reset_index(name="concepts of which it has more than their part")
        tables.append(
            Table.of(
                listed,
                "Lift (ours): the concept's weight over its weight in the whole data set.",
                rows=_ROWS,
                csv="lift",
            )
        )
    return tables


def closest(reading: Reading) -> list[Table]:
    """The pairs of factors whose profiles are nearest."""
    if reading.distances is None or not len(reading.distances):
        return []
    what = next(iter(reading.profiles))
    if reading.profiles[what].present < 2:
        return []
    table = reading.distances.sort_values(["hellinger", "factor", "other"], kind="stable").rename(
        columns={
            "coefficient": "Bhattacharyya coefficient", "bhattacharyya": "Bhattacharyya distance", "hellinger": "Hellinger",
            "kl": "KL", "kl_back": "KL back", "unmatched_back": "unmatched back",
        }
    )  # fmt: skip
    caption = (
        f"The pairs of factors of nearest {what} profile. KL, in nats, and the Bhattacharyya distance are of profiles of which "
        "1e-6 is spread over all entries, so that they stay finite; unmatched: the weight of one where the other has none "
        "(above 0, plain KL is infinite)."
    )
    return [Table.of(table, caption, rows=_PAIRS, csv="distances")]


def agreement_table(reading: Reading) -> list[Table]:
    """How alike two matrices group the factors, as a square of correlations."""
    table = reading.agreement
    if not len(table):
        return []
    if not table["why"].eq("").any():
        return [Table.of(table.drop(columns="correlation"), "No two matrices can be compared.", rows=_ROWS)]
    names = [one.name for one in reading.factorization.loadings]
    found = {(row.matrix, row.other): row.correlation for row in table.itertuples()}
    rows = []
    for one in names:
        values = [found.get((one, two), found.get((two, one), float("nan"))) for two in names]
        rows.append(
            (
                one,
                *(
                    "" if one == two or np.isnan(v) else f"{v:.2f}"
                    for two, v in zip(names, values, strict=True)
                ),
            )
        )
    return [
        Table(
            ("agreement", *names),
            tuple(rows),
            "Correlation of the factors' cosines.",
            frozenset(names),
            csv="agreement",
        )
    ]


def fit_table(f: Factorization) -> pd.DataFrame:
    """A row a matrix: kind, shape, features, those that are dead, scale and fit."""
    import pandas as pd

    rows = [
        (one.name, one.kind, " x ".join(map(str, one.shape)), len(one.values), len(one.dead), one.scale, one.fit)
        for one in f.loadings
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["matrix", "kind", "shape", "features", "dead", "scale", "fit"])


def restart_table(f: Factorization) -> Table:
    """The restarts."""
    said = {name: np.where(f.restarts[name], "yes", "no") for name in ("converged", "kept")}
    return Table.of(f.restarts.assign(**said), "The restarts.", digits=5)


def baseline_table(baselines: pd.DataFrame) -> tuple[str, list[Table]]:
    """Words and table."""
    words = (
        "At the same rank, of the same matrices side by side, each at its scale. Purity and entropy are means over the factors' "
        "profiles, in which K-means has weights of 0 and 1; the columns of clusters take each example's strongest factor, for "
        "all methods alike. NMI: normalised mutual information of cluster and class."
    )
    shown = baselines.assign(converged=np.where(baselines["converged"], "yes", "no")).rename(
        columns=_BASELINE
    )
    return words, [Table.of(shown, csv="baselines")]
