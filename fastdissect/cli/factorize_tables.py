"""A coupled factorisation in tables: what each factor is of, and how well the matrices are explained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastdissect.cli.net2vec_tables import data_table
from fastdissect.cli.terminal import output, plain

if TYPE_CHECKING:
    import pandas as pd

    from fastdissect.methods.factorization.factorizing_images import Projected
    from fastdissect.methods.factorization.factorizing_kept import FactorizationStudy
    from fastdissect.methods.factorization.result import Factorization

__all__ = ["factor_table", "say_projected", "say_study"]

_SHOWN = 3  # examples, classes and neurons named of a factor
_ROWS = 40


def say_study(study: FactorizationStudy, where: str) -> None:
    """The fit, the factors, and what is dead."""
    f, console = study.factorization, output()
    kept = f.restarts[f.restarts["kept"]].iloc[0]
    console.print(
        plain(
            f"{f.rank} factors of {len(f.mixtures):,} examples{where}: fit {float(kept['fit']):.4f} (squared error over "
            f"squared norm) after {int(kept['iterations']):,} iterations{'' if kept['converged'] else ', not converged'}."
        ),
        soft_wrap=True,
    )
    if study.curve is not None:
        console.print(data_table(study.curve.table, "Rank"))
        console.print(plain(f"Chosen by the curve: {study.curve.chosen}. {study.curve.why}"), soft_wrap=True)
    console.print(data_table(factor_table(study).head(_ROWS), "Factors, by weight"))
    for line in _dead(f):
        console.print(plain(line), soft_wrap=True)


def factor_table(study: FactorizationStudy) -> pd.DataFrame:
    """factor, weight, then the top of each: classes, copies, examples, and the neurons of each layer."""
    import pandas as pd

    from fastdissect.methods.factorization.class_profiles import class_profiles
    from fastdissect.methods.factorization.contributions import contributions

    f, own = study.factorization, study.examples
    told = contributions(f).sum(0)
    weight = told / max(float(told.sum()), 1e-300)  # as on the page
    order = [int(r) for r in (-weight).argsort(kind="stable") if weight[r] > 0]
    columns: dict[str, list[str]] = {}
    for what, table in (("classes", own.classes), ("copies", own.groups)):
        if table is not None:
            profiles = class_profiles(f, table.numbers, table.names)
            columns[what] = [_tops(profiles.weights[r], table.names, "{name} {value:.2f}") for r in order]
    columns["examples"] = [_tops(f.mixtures[:, r], own.names, "{name}") for r in order]
    for one in f.loadings:
        if one.kind == "neurons":
            names = _neurons(one.shape)
            columns[f"neurons of {one.name}"] = [_tops(one.values[:, r], names, "{name}") for r in order]
    return pd.DataFrame({"factor": order, "weight": weight[order], **columns})


def _tops(values: object, names: object, form: str) -> str:
    import numpy as np

    array = np.asarray(values)
    first = np.argsort(-array, kind="stable")[:_SHOWN]
    return ", ".join(
        form.format(name=names[i], value=array[i])  # type: ignore[index]
        for i in first.tolist()
        if array[i] > 0
    )


class _neurons:
    """Names of a layer's neurons: the unit, and its place where maps are whole."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.shape = shape

    def __getitem__(self, index: int) -> str:
        _, height, width = self.shape
        unit, place = divmod(index, height * width)
        return f"{unit}" if height * width == 1 else f"{unit}@{place // width},{place % width}"


def _dead(f: Factorization) -> list[str]:
    lines = []
    if f.dead_factors:
        lines.append(f"Dead factors, which no example has: {', '.join(map(str, f.dead_factors))}.")
    for one in f.loadings:
        if len(one.dead):
            lines.append(
                f"{one.name}: {len(one.dead):,} of {len(one.values):,} features are 0 in every example."
            )
    return lines


def say_projected(f: Factorization, found: Projected) -> None:
    """Each image's strongest factors, in the one scale that all factors share."""
    import dataclasses

    import pandas as pd

    from fastdissect.methods.factorization.contributions import contributions, shares

    names = [str(r) for r in range(found.mixtures.shape[1])]
    own_shares = shares(contributions(dataclasses.replace(f, mixtures=found.mixtures)))
    rows = [_tops(own, names, "{name} ({value:.2f})") or "none" for own in own_shares]
    table = pd.DataFrame({"image": found.names, "factors (share of the mixture)": rows})
    output().print(data_table(table.head(_ROWS), "New images"))
    if len(table) > _ROWS:
        output().print(f"and {len(table) - _ROWS:,} more, in the table")
