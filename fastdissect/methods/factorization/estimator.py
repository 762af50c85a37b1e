"""`CoupledFactorization`: the factorisation as scikit-learn users expect it.

It derives from scikit-learn's BaseEstimator and TransformerMixin, so this module needs the extra `studies`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastdissect.errors import SettingError
from fastdissect.methods.extras import need
from fastdissect.methods.factorization.matrices import FeatureMatrix
from fastdissect.methods.factorization.projection import project
from fastdissect.methods.factorization.restarts import factorize_matrices
from fastdissect.methods.factorization.result import Factorization
from fastdissect.methods.factorization.settings import FactorizationSettings

if TYPE_CHECKING:

    class _Base:
        """What is used of BaseEstimator, TransformerMixin and ClassNamePrefixFeaturesOutMixin."""

        def __sklearn_tags__(self) -> Any: ...

else:
    _base = need("sklearn.base")

    class _Base(_base.ClassNamePrefixFeaturesOutMixin, _base.TransformerMixin, _base.BaseEstimator):
        pass


__all__ = ["CoupledFactorization"]


class CoupledFactorization(_Base):
    """Coupled non-negative factorisation of one array or of several that share their examples.

    Args:
        n_components: factors; None: 20, or the number of examples or features where that is less.
        penalty, groups, weights, faithful, repeats, block: `FactorizationSettings`.
        alpha_mixtures, alpha_pixels, alpha_features: weights of the penalties (`mixtures`, `pixels`, `neurons`).
        init: "nndsvda", "nndsvd" or "random". max_iter, tol: `iterations`, `tolerance`; None: the rule's own.
        n_init: restarts. random_state: seed, an integer of at least 0. device: a torch device.
        kinds: of a mapping's matrices by name ("pixels", "neurons" or "features"); None: all "features".

    X is one array [examples, features], or {name: array} with the same examples in each; finite, >= 0. Arrays are converted to
    float32 (a copy where they are not).

    Attributes:
        components_: float32 [n_components, features of all matrices in order], in the data's own units:
            X ~ transform(X) @ components_.
        factorization_: the `Factorization`, with history and restarts.
        n_components_, n_features_in_, feature_names_in_ (of a data frame), n_iter_ (of the kept restart).
        reconstruction_err_: ||X - its reconstruction|| over all matrices, Frobenius, in the data's own units.

    Example:
        >>> x = np.kron(np.eye(2), np.ones((3, 4)))
        >>> model = CoupledFactorization(n_components=2).fit(x)
        >>> bool(np.allclose(model.inverse_transform(model.transform(x)), x, atol=1e-3))
        True
    """

    def __init__(
        self,
        n_components: int | None = None,
        *,
        penalty: str = "elastic-net",
        groups: int = 20,
        alpha_mixtures: float = 0.0,
        alpha_pixels: float = 0.0,
        alpha_features: float = 0.0,
        weights: str = "picture",
        faithful: bool = False,
        init: str = "nndsvda",
        max_iter: int | None = None,
        tol: float | None = None,
        n_init: int = 1,
        random_state: int = 0,
        repeats: int = 10,
        block: int = 1024,
        kinds: Mapping[str, str] | None = None,
        device: str = "cpu",
    ) -> None:
        self.n_components = n_components
        self.penalty = penalty
        self.groups = groups
        self.alpha_mixtures = alpha_mixtures
        self.alpha_pixels = alpha_pixels
        self.alpha_features = alpha_features
        self.weights = weights
        self.faithful = faithful
        self.init = init
        self.max_iter = max_iter
        self.tol = tol
        self.n_init = n_init
        self.random_state = random_state
        self.repeats = repeats
        self.block = block
        self.kinds = kinds
        self.device = device

    factorization_: Factorization

    def fit(self, X: ArrayLike | Mapping[str, ArrayLike], y: object = None) -> Self:
        """Find the factors; y is not looked at."""
        del y
        matrices = self._matrices(X, reset=True)
        features = sum(one.features for one in matrices)
        rank = min(20, matrices[0].examples, features) if self.n_components is None else self.n_components
        settings = FactorizationSettings(
            rank=rank,
            penalty=self.penalty,
            groups=self.groups,
            mixtures=self.alpha_mixtures,
            pixels=self.alpha_pixels,
            neurons=self.alpha_features,
            faithful=self.faithful,
            iterations=self.max_iter,
            tolerance=self.tol,
            restarts=self.n_init,
            seed=self.random_state,
            block=self.block,
            weights=self.weights,
            initial=self.init,
            repeats=self.repeats,
        )
        found = factorize_matrices(matrices, settings, device=self.device)
        self.factorization_ = found
        self.n_components_ = rank
        self.components_ = np.concatenate(
            [(one.values.astype(np.float64) * one.scale).T for one in found.loadings], 1
        ).astype(np.float32)
        self._n_features_out = rank
        squares = [float(np.square(one.values, dtype=np.float64).sum()) for one in matrices]
        lost = [s * one.fit for s, one in zip(squares, found.loadings, strict=True) if s]
        self.reconstruction_err_ = float(np.sqrt(sum(lost)))
        self.n_iter_ = int(found.restarts.loc[found.restarts["kept"], "iterations"].iloc[0])
        return self

    def fit_transform(
        self, X: ArrayLike | Mapping[str, ArrayLike], y: object = None, **fit_params: object
    ) -> NDArray[np.float32]:
        """`fit`, and the mixtures that the fit ended with, float32 [examples, n_components]."""
        del fit_params
        return self.fit(X, y).factorization_.mixtures

    def transform(self, X: ArrayLike | Mapping[str, ArrayLike]) -> NDArray[np.float32]:
        """Return the mixtures of examples, float32 [examples, n_components] (`project`)."""
        need("sklearn.utils.validation").check_is_fitted(self)
        return project(self.factorization_, self._matrices(X, reset=False), device=self.device)

    def inverse_transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Return what mixtures stand for in the data's units, float32 [examples, features of all matrices in order]."""
        need("sklearn.utils.validation").check_is_fitted(self)
        mixtures = np.asarray(X, np.float32)
        if mixtures.ndim != 2 or mixtures.shape[1] != self.n_components_:
            raise SettingError(
                f"expected mixtures [examples, {self.n_components_}]; got shape {mixtures.shape}"
            )
        found: NDArray[np.float32] = mixtures @ self.components_
        return found

    def _matrices(self, data: ArrayLike | Mapping[str, ArrayLike], *, reset: bool) -> list[FeatureMatrix]:
        validation = need("sklearn.utils.validation")
        if not isinstance(data, Mapping) or need("scipy.sparse").issparse(
            data
        ):  # some sparse ones are mappings
            array = validation.validate_data(
                self, data, dtype=np.float32, reset=reset, ensure_non_negative=True
            )
            return [FeatureMatrix("X", "features", (array.shape[1], 1, 1), np.ascontiguousarray(array))]
        kinds = dict(self.kinds or {})
        unknown = sorted(set(kinds) - set(data))
        if unknown:
            raise SettingError(
                f"expected kinds of the matrices {', '.join(data)}; got {', '.join(unknown)} too"
            )
        arrays = {
            name: validation.check_array(values, dtype=np.float32, input_name=name, ensure_non_negative=True)
            for name, values in data.items()
        }
        if reset:
            self.n_features_in_ = sum(array.shape[1] for array in arrays.values())
        return [
            FeatureMatrix(
                name, kinds.get(name, "features"), (array.shape[1], 1, 1), np.ascontiguousarray(array)
            )
            for name, array in arrays.items()
        ]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
