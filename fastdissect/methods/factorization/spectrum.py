"""How far a layer's factors share neurons: eigenvalues of the cosines of its loadings (METHODS 4.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastdissect.methods.factorization.factor_overlap import column_cosines
from fastdissect.methods.factorization.result import Factorization, Loadings

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["eigenvalues", "spectrum"]


def eigenvalues(loadings: Loadings) -> NDArray[np.float64]:
    """Return the eigenvalues of the [rank, rank] cosines of a matrix's loadings, largest first.

    Factors of neurons of their own give 1, 1, ..., 1; factors that all have the same neurons give rank, 0, ..., 0. They
    sum to the number of factors that have a loading here; one that has none adds a 0.
    """
    found = np.linalg.eigvalsh(column_cosines(loadings.values))[::-1]
    values: NDArray[np.float64] = np.maximum(found, 0.0)  # below 0 by rounding alone: cosines of real columns
    return values


def spectrum(f: Factorization) -> pd.DataFrame:
    """Return "eigenvalue against layer", a row a matrix, in the order given.

    The released code takes the first three as numpy's general solver returns them, in no order; here they are the
    largest three (our choice).

    Returns:
        matrix, kind, factors (that have a loading here), first (the largest eigenvalue), first_three (mean of the largest
        three, or of as many as there are).
    """
    import pandas as pd

    rows = []
    for one in f.loadings:
        found = eigenvalues(one)
        live = int(np.count_nonzero(one.values.any(0)))
        rows.append((one.name, one.kind, live, float(found[0]), float(found[:3].mean())))
    return pd.DataFrame(rows, columns=["matrix", "kind", "factors", "first", "first_three"])
