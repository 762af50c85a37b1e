"""The estimator: scikit-learn's own checks, and what it adds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from factorization_cases import planted, small

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastdissect.errors import SettingError
from fastdissect.methods.factorization.estimator import CoupledFactorization
from fastdissect.methods.factorization.restarts import factorize_matrices
from fastdissect.methods.factorization.settings import FactorizationSettings as Settings


@parametrize_with_checks([CoupledFactorization()])
def test_scikit_learn_s_checks(estimator, check):
    if "array_api" in str(check):
        pytest.skip("the estimator takes NumPy arrays alone")
    check(estimator)


def _data(matrices):
    return {one.name: one.values for one in matrices}


def test_it_is_the_function():
    matrices = small()
    kinds = {one.name: one.kind for one in matrices}
    model = CoupledFactorization(
        3, alpha_mixtures=0.1, alpha_pixels=0.2, n_init=2, random_state=5, kinds=kinds
    )
    mixtures = model.fit_transform(_data(matrices))
    found = factorize_matrices(matrices, Settings(rank=3, mixtures=0.1, pixels=0.2, restarts=2, seed=5))
    assert mixtures.tobytes() == found.mixtures.tobytes()
    assert model.transform(_data(matrices)).tobytes() == mixtures.tobytes()
    assert model.n_iter_ == found.restarts["iterations"][found.restarts["kept"]].item()
    assert model.n_features_in_ == 21
    assert model.n_components_ == 3
    assert model.components_.shape == (3, 21)


def test_components_are_in_the_data_s_units():
    matrices, _, _ = planted(0)
    model = CoupledFactorization(4).fit(_data(matrices))
    x = np.concatenate([one.values for one in matrices], 1)
    again = model.inverse_transform(model.transform(_data(matrices)))
    assert np.linalg.norm(x - again) == pytest.approx(model.reconstruction_err_, rel=0.01)
    assert model.reconstruction_err_ < 0.02 * np.linalg.norm(x)
    grown = CoupledFactorization(4).fit({name: 1000 * values for name, values in _data(matrices).items()})
    np.testing.assert_allclose(grown.components_, 1000 * model.components_, rtol=0.02, atol=10)  # of 3,000


def test_one_array_a_data_frame_and_a_pipeline():
    x = small()[2].values
    frame = pd.DataFrame(x, columns=list("abcdefghi"))
    model = CoupledFactorization(2).fit(frame)
    assert model.feature_names_in_.tolist() == list("abcdefghi")
    assert model.get_feature_names_out().tolist() == ["coupledfactorization0", "coupledfactorization1"]
    assert model.transform(frame).tobytes() == CoupledFactorization(2).fit(x).transform(x).tobytes()
    assert make_pipeline(MinMaxScaler(), CoupledFactorization(2)).fit_transform(x).shape == (23, 2)
    table = CoupledFactorization(2).set_output(transform="pandas").fit_transform(frame)
    assert list(table.columns) == ["coupledfactorization0", "coupledfactorization1"]
    assert CoupledFactorization().fit(x).n_components_ == 9


def test_clone_and_parameters():
    model = CoupledFactorization(5, penalty="group-sparse", groups=3, faithful=True, tol=1e-3, max_iter=7)
    other = clone(model)
    assert other.get_params() == model.get_params()
    assert other is not model
    assert model.set_params(max_iter=2).fit(small()[2].values).n_iter_ <= 2


def test_bad_input():
    model = CoupledFactorization(2)
    with pytest.raises(NotFittedError):
        model.transform(np.ones((3, 3)))
    with pytest.raises(NotFittedError):
        model.inverse_transform(np.ones((3, 2)))
    with pytest.raises(ValueError, match="Negative values"):
        model.fit(-np.ones((3, 3)))
    with pytest.raises(ValueError, match="Negative values"):
        model.fit({"a": np.ones((3, 3)), "b": -np.ones((3, 3))})
    with pytest.raises(SettingError, match="same examples"):
        model.fit({"a": np.ones((3, 3)), "b": np.ones((4, 3))})
    with pytest.raises(SettingError, match="kinds of the matrices a; got b too"):
        CoupledFactorization(2, kinds={"b": "pixels"}).fit({"a": np.ones((3, 3))})
    model.fit(np.random.default_rng(0).random((5, 4)))
    with pytest.raises(SettingError, match=r"\[examples, 2\]"):
        model.inverse_transform(np.ones((3, 3)))
    with pytest.raises(ValueError, match="features"):
        model.transform(np.ones((3, 5)))
