"""The tables beside the page of a coupled factorisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastdissect.methods.factorization.reading import Reading
from fastdissect.reports.studies.factorization_tables import fit_table, overview

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["reading_tables"]


def reading_tables(reading: Reading) -> dict[str, pd.DataFrame]:
    """Return the tables that are written beside the page, {name: table}."""
    import pandas as pd

    f = reading.factorization
    names = list(f.example_names) or [str(i) for i in range(len(f.mixtures))]
    mixtures = pd.DataFrame(reading.mixtures, columns=[str(r) for r in range(f.mixtures.shape[1])])
    if reading.impurity is not None:
        mixtures.insert(0, "impurity", reading.impurity.entropy)
    mixtures.insert(0, "name", names)
    csv = {
        "factors": overview(reading, digits=None),
        "examples": reading.examples,
        "mixtures": mixtures,
        "neurons": reading.neurons,
        "groupings": reading.groupings,
        "agreement": reading.agreement,
        "spectrum": reading.spectrum,
        "matrices": fit_table(f),
        "history": f.history,
    }
    for what, profile in reading.profiles.items():
        csv[f"profiles-{what}"] = profile.table()
        csv[f"coverage-{what}"] = profile.coverage()
    if reading.distances is not None:
        csv["distances"] = reading.distances
    if reading.lift is not None:
        csv["lift"] = reading.lift
    if reading.accuracy is not None:
        csv["accuracy"] = reading.accuracy
    return csv
