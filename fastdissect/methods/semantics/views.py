"""The local view: one score of one image as a sum over concepts, and where each part comes from.

    score = logit_j - mean of the logits, or logit_j - logit_i            g(p) its gradient at position p
    w = sum_p g(p), the score's vector in the space of pooled features    pi(p) = g(p).w / |w|^2, sum 1
    w ~ sum_c beta_c u_c, beta >= 0                                        of few concepts (sparse_weights)

    E_c(p) = pi(p) beta_c u_c.a(p)                                         a concept's evidence at p
    score  = sum_c sum_p E_c(p)  +  residual  +  rest                      exactly, whatever beta is

A linear head on mean pooling has g(p) = w / cells, so pi is 1 / cells, and w and beta are the same for every image; the
rest is its bias. Elsewhere g is the image's own gradient, and the rest is what the gradient times the activation leaves
of the score. Our formulation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from fastdissect.methods.semantics.groups import Group
from fastdissect.methods.semantics.sparse_weights import sparse_weights

if TYPE_CHECKING:
    import pandas as pd

    from fastdissect.methods.semantics.removal import Removal

__all__ = ["ConceptView", "Evidence", "split_score"]

Floats = NDArray[np.float64]
Role = Literal["predicted", "true", "asked", "difference"]
UNEXPLAINED = 0.5  # residual share above which the vocabulary does not explain the decision


@dataclass(frozen=True, eq=False)
class Evidence:
    """A score's parts.

    Attributes:
        active: groups with beta > 0, by contribution, descending. maps: float64 [active, height, width], E_c.
        contributions: float64 [active].
    """

    active: tuple[int, ...]
    beta: Floats
    maps: Floats
    contributions: Floats
    residual: float
    rest: float
    score: float
    mu: float

    @property
    def residual_share(self) -> float:
        """|residual| over the sizes of all contributions and the residual; NaN where all are 0."""
        size = float(np.abs(self.contributions).sum()) + abs(self.residual)
        return abs(self.residual) / size if size else float("nan")

    @property
    def explained(self) -> bool:
        """False: decision not explained by the vocabulary (the residual is more than half)."""
        return not self.residual_share > UNEXPLAINED

    @property
    def error(self) -> float:
        """How far the parts are from the score, relative to the sum of their sizes."""
        size = float(np.abs(self.contributions).sum()) + abs(self.residual) + abs(self.rest)
        gap = abs(float(self.contributions.sum()) + self.residual + self.rest - self.score)
        return gap / size if size else gap


@dataclass(frozen=True, eq=False)
class ConceptView:
    """Why one image got the score of one class, or the difference of two, by concepts.

    Attributes:
        names: of the evidence's active groups, in its order.
        removals: what happens to the score without each of them; () where it was not checked.
    """

    role: Role
    number: int
    name: str
    against: int | None  # difference alone
    against_name: str
    logit: float
    evidence: Evidence
    names: tuple[str, ...]
    removals: tuple[Removal, ...] = ()

    @property
    def title(self) -> str:
        """ "cat", or "cat rather than dog"."""
        return self.name if self.against is None else f"{self.name} rather than {self.against_name}"

    def table(self) -> pd.DataFrame:
        """A row an active concept: concept, beta, contribution, without (change of the score when it is removed),
        chance (mean change for random directions of equal energy), p; then the residual and the rest."""
        import pandas as pd

        own, count = self.evidence, len(self.names)
        nan = [float("nan")] * count
        return pd.DataFrame({
            "part": [*self.names, "residual", "rest"],
            "beta": [*own.beta, *[float("nan")] * 2],
            "contribution": [*own.contributions, own.residual, own.rest],
            "without": [*([r.change for r in self.removals] or nan), *[float("nan")] * 2],
            "chance": [*([float(r.chance.mean()) for r in self.removals] or nan), *[float("nan")] * 2],
            "p": [*([r.p for r in self.removals] or nan), *[float("nan")] * 2],
        }).astype({"part": "str"})  # fmt: skip


def split_score(
    maps: Floats, gradient: Floats, score: float, rest: float | None, groups: tuple[Group, ...], most: int
) -> Evidence:
    """Split one image's score over concepts.

    Args:
        maps: float64 [units, height, width], a. gradient: likewise, g.
        rest: what the score is where the features are 0; None: what gradient times activation leaves of it.
        groups: the vocabulary. most: concepts with beta > 0.
    """
    units, height, width = maps.shape
    a, g = maps.reshape(units, -1), gradient.reshape(units, -1)
    w = g.sum(1)
    size = float(w @ w)
    pi = w @ g / size if size else np.full(a.shape[1], 1 / a.shape[1])
    basis = np.stack([group.vector for group in groups]) if groups else np.zeros((0, units))
    weights = sparse_weights(basis, w, most)
    on = np.flatnonzero(weights.beta > 0)
    maps_of = pi * (weights.beta[on, None] * (basis[on] @ a))
    contributions = maps_of.sum(1)
    left = g - np.outer(weights.beta[on] @ basis[on], pi)  # not sum minus contributions: the sum is a check
    order = np.argsort(-contributions, kind="stable")
    return Evidence(
        tuple(int(i) for i in on[order]),
        weights.beta[on][order],
        maps_of[order].reshape(len(on), height, width),
        contributions[order],
        float((left * a).sum()),
        score - float((g * a).sum()) if rest is None else rest,
        score,
        weights.mu,
    )
