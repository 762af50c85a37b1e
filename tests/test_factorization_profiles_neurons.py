"""Neurons, spectra, neighbourhoods, latent images and baselines of planted factors (METHODS 4.5)."""

from __future__ import annotations

import numpy as np
import pytest
from factorization_reading_cases import SIDE, factorization, matrices_of, planted

from fastdissect.errors import SettingError
from fastdissect.methods.factorization.baselines import COUPLED, factor_scores, factorization_baselines
from fastdissect.methods.factorization.contributions import contributions
from fastdissect.methods.factorization.impurity import (
    accuracy_by_impurity,
    neighbour_impurity,
    neighbours_of,
)
from fastdissect.methods.factorization.latent_images import GREY, latent_image, latent_pixels, masked_copy
from fastdissect.methods.factorization.neuron_view import (
    grouping,
    groupings,
    layer_agreement,
    sorted_neurons,
    top_neurons,
)
from fastdissect.methods.factorization.reading import read_factorization
from fastdissect.methods.factorization.spectrum import eigenvalues, spectrum


def test_planted_neurons_are_grouped_by_their_factor() -> None:
    f, _ = planted(dead=())
    assert (grouping(f["early"]) == np.arange(40) // 10).all()
    table = groupings(f).set_index("matrix")
    assert table.loc["late", ["0", "1", "2", "3"]].tolist() == [5] * 4
    assert table["none"].tolist() == [0] * 5
    top = top_neurons(f, 3)
    assert set(top["matrix"]) == {"early", "late"}  # pixels are no neurons
    own = top[(top["matrix"] == "early") & (top["factor"] == 2)]
    assert own["neuron"].between(20, 29).all()
    assert (own["unit"] * 2 + own["row"] == own["neuron"]).all()
    assert (own["column"] == 0).all()
    assert (own["loading"].to_numpy() == f["early"].values[own["neuron"], 2].astype(float)).all()
    assert (own["share"] > 0.9).all()


def test_a_factor_of_large_loadings_does_not_take_every_neuron() -> None:
    values = np.array([[100.0, 0, 0], [30, 1, 0], [0, 0, 0]])
    f = factorization(np.ones((4, 3)), {"layer": values})
    assert grouping(f["layer"]).tolist() == [0, 1, -1]
    assert groupings(f).iloc[0].tolist() == ["layer", "neurons", 1, 1, 1, 0]
    assert set(top_neurons(f)["factor"]) == {0, 1}
    assert not top_neurons(f).isna().any().any()


def test_neurons_stand_factor_by_factor_those_most_its_own_first() -> None:
    values = np.array([[0, 3.0], [2, 1], [0, 0], [1, 0], [1, 9]])
    f = factorization(np.ones((4, 2)), {"layer": values})
    found = sorted_neurons(f["layer"])
    unit = values / np.sqrt((values**2).sum(0))
    wanted = np.array([unit[i] / unit[i].sum() for i in (3, 1, 0, 4)])  # 2 is dead
    np.testing.assert_allclose(found, wanted)
    large, _ = planted(dead=())
    few = sorted_neurons(large["early"], 8)
    assert few.argmax(1).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    np.testing.assert_allclose(few.sum(1), 1)
    assert not len(sorted_neurons(factorization(np.ones((4, 2)), {"layer": np.zeros((3, 2))})["layer"]))


def test_spectra_of_separate_and_of_equal_factors() -> None:
    apart = factorization(np.ones((4, 4)), {"layer": np.eye(4)})
    assert eigenvalues(apart["layer"]) == pytest.approx([1] * 4)
    same = factorization(np.ones((4, 4)), {"layer": np.ones((6, 4)) * [1, 2, 3, 4]})
    assert eigenvalues(same["layer"]) == pytest.approx([4, 0, 0, 0], abs=1e-12)
    dead = factorization(np.ones((4, 3)), {"layer": np.eye(3) * [1, 0, 1]})
    assert eigenvalues(dead["layer"]) == pytest.approx([1, 1, 0])
    f, _ = planted(noise=0.5)
    table = spectrum(f).set_index("matrix")
    for one in f.loadings:
        unit = one.values / np.linalg.norm(one.values, axis=0)
        slow = sorted(np.linalg.eig(unit.T @ unit).eigenvalues.real, reverse=True)
        assert eigenvalues(one) == pytest.approx(slow, abs=1e-5)
        assert table.loc[one.name, "first"] == pytest.approx(slow[0], abs=1e-5)
        assert table.loc[one.name, "first_three"] == pytest.approx(np.mean(slow[:3]), abs=1e-5)
    assert spectrum(planted(rank=1)[0])["first_three"].tolist() == [1.0] * 5


def test_layers_that_merge_the_same_factors_agree() -> None:
    rng = np.random.default_rng(0)
    shared = rng.random((30, 5))
    f = factorization(
        np.ones((8, 5)),
        {"a": shared, "b": np.repeat(shared, 2, axis=0), "c": rng.random((50, 5)), "d": np.eye(5)},
    )
    table = layer_agreement(f).set_index(["matrix", "other"])
    assert table.loc[("a", "b"), "correlation"] == pytest.approx(1)
    above = np.triu_indices(5, 1)
    a, c = (v / np.linalg.norm(v, axis=0) for v in (f["a"].values.astype(float), f["c"].values.astype(float)))
    slow = np.corrcoef((a.T @ a)[above], (c.T @ c)[above])[0, 1]
    assert table.loc[("a", "c"), "correlation"] == pytest.approx(slow)
    assert table.loc[("a", "d"), "why"] == "the cosines of one are all equal"
    assert np.isnan(table.loc[("a", "d"), "correlation"])
    small = layer_agreement(planted(rank=2)[0])
    assert set(small["why"]) == {"fewer than three pairs of factors"}


@pytest.mark.parametrize("seed", range(3))
def test_impurity_by_a_plain_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    f = factorization(rng.random((50, 3)), {"layer": rng.random((7, 3))})
    points = contributions(f)
    found = neighbour_impurity(f, 6)
    for n in range(50):
        distance = np.sqrt(((points - points[n]) ** 2).sum(1))
        near = [m for m in np.argsort(distance) if m != n][:6]
        counts = np.bincount(points[near].argmax(1), minlength=3)
        assert found.counts[n].tolist() == counts.tolist()
        assert found.entropy[n] == pytest.approx(-sum(c / 6 * np.log2(c / 6) for c in counts if c), abs=1e-12)
    assert (found.factor == points.argmax(1)).all()


def test_pure_neighbourhoods_have_no_impurity_and_copies_are_not_themselves() -> None:
    f, group = planted(each=12)
    found = neighbour_impurity(f, 11)
    assert (found.entropy == 0).all()
    assert (found.factor == group).all()
    copies = factorization(np.ones((9, 2)) * [1, 2], {"layer": np.ones((3, 2))})
    assert neighbour_impurity(copies, 4).counts.tolist() == [[0, 4]] * 9
    dead = factorization(np.zeros((5, 2)), {"layer": np.ones((3, 2))})
    own = neighbour_impurity(dead, 2)
    assert own.factor.tolist() == [-1] * 5
    assert own.counts.sum() == 0
    assert own.entropy.tolist() == [0.0] * 5


def test_how_many_neighbours() -> None:
    assert [neighbours_of(n, c) for n, c in ((100, 10), (105, 10), (100, 1), (3, 10), (1, 1))] == [
        10,
        10,
        99,
        0,
        0,
    ]
    for wrong in (0, 48):
        with pytest.raises(SettingError, match="expected 1 to 47 neighbours"):
            neighbour_impurity(planted()[0], wrong)


def test_accuracy_over_the_purest_does_not_depend_on_the_order() -> None:
    rng = np.random.default_rng(2)
    f = factorization(rng.random((60, 2)), {"layer": rng.random((4, 2))})
    right = rng.random(60) < 0.6
    found = neighbour_impurity(f, 3)
    table = accuracy_by_impurity(found, right)
    for row in table.itertuples():
        upto = found.entropy <= row.impurity
        assert row.examples == upto.sum()
        assert row.accuracy == pytest.approx(right[upto].mean())
    assert table["impurity"].is_monotonic_increasing
    assert table["accuracy"].iloc[-1] == pytest.approx(right.mean())
    with pytest.raises(SettingError, match="true or false for each of 60"):
        accuracy_by_impurity(found, right.astype(int))


def test_latent_images_are_scaled_by_channel_and_dead_ones_are_grey() -> None:
    f, _ = planted(noise=0, dead=(3,))
    image = latent_image(f, 1)
    assert image is not None
    assert image.shape == (SIDE, SIDE, 3)
    block = (np.arange(SIDE * SIDE) * 4 // (SIDE * SIDE) == 1).reshape(SIDE, SIDE)
    assert (image == 255 * block[..., None]).all()
    grey = latent_image(f, 3)
    assert grey is not None
    assert (grey == GREY).all()
    values = {name: np.array([[1.0 + i], [2 + 2 * i]]) for i, name in enumerate(("blue", "green", "red"))}
    values["green"] = np.zeros((2, 1))
    turned = factorization(np.ones((3, 1)), values, dict.fromkeys(values, (1, 1, 2)))
    shown = latent_image(turned, 0)
    assert shown is not None
    assert shown.tolist() == [[[128, 0, 128], [255, 0, 255]]]  # red 3 of 6, blue 1 of 2
    grey_only = factorization(np.ones((3, 1)), {"red": np.array([[1.0], [5]])}, {"red": (1, 2, 1)})
    shown = latent_image(grey_only, 0)
    assert shown is not None
    assert shown[:, 0].tolist() == [[51] * 3, [255] * 3]
    assert latent_image(factorization(np.ones((3, 1)), {"layer": np.ones((2, 1))}), 0) is None
    with pytest.raises(SettingError, match="a factor of 0 to 0"):
        latent_image(grey_only, 1)


def test_masked_copies_keep_what_exceeds_the_median() -> None:
    f, _ = planted(noise=0.3, seed=4)
    pixels = latent_pixels(f, 2)
    assert pixels is not None
    rng = np.random.default_rng(0)
    picture = rng.integers(1, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    found = masked_copy(picture, pixels)
    for c in range(3):
        middle = np.median(pixels[..., c])
        for y in range(SIDE):
            for x in range(SIDE):
                assert found[y, x, c] == (picture[y, x, c] if pixels[y, x, c] > middle else 0)
    large = np.repeat(np.repeat(picture, 3, 0), 2, 1)
    assert (masked_copy(large, pixels) == np.repeat(np.repeat(found, 3, 0), 2, 1)).all()
    with pytest.raises(SettingError, match="expected a picture"):
        masked_copy(picture[..., 0], pixels)


def test_scores_of_perfect_and_of_useless_clusters() -> None:
    classes = np.repeat(np.arange(3), 5)
    names = ("a", "b", "c")
    best = factor_scores(np.eye(3)[classes], classes, names)
    assert (best["purity"], best["entropy"], best["cluster_purity"], best["nmi"]) == pytest.approx(
        (1, 0, 1, 1)
    )
    one = factor_scores(np.ones((15, 1)), classes, names)
    assert (one["purity"], one["cluster_purity"], one["nmi"]) == pytest.approx((1 / 3, 1 / 3, 0))
    assert one["cluster_entropy"] == pytest.approx(np.log(3))
    nothing = factor_scores(np.zeros((15, 2)), classes, names)
    assert set(nothing.values()) == {0}
    weights = np.zeros((15, 4))  # two clusters of 10 and 5; one example without a weight
    weights[:10, 0], weights[10:, 2], weights[3] = 1, 1, 0
    some = factor_scores(weights, classes, names)
    assert (some["factors"], some["clusters"]) == (2, 2)
    assert some["cluster_purity"] == pytest.approx((5 + 5) / 14)


def test_baselines_find_planted_groups_and_refuse_other_matrices() -> None:
    f, group = planted(each=10)
    names = tuple("abcd")
    table = factorization_baselines(f, matrices_of(f), group, names)
    assert table["method"].tolist() == [COUPLED, "K-means", "NMF of all matrices"]
    assert table["cluster_purity"].to_numpy() == pytest.approx([1, 1, 1])
    assert table["nmi"].to_numpy() == pytest.approx([1, 1, 1])
    assert not table.isna().any().any()
    assert table.equals(factorization_baselines(f, matrices_of(f)[::-1], group, names))
    with pytest.raises(SettingError, match=r"expected the matrix 'late'.*got nothing"):
        factorization_baselines(f, matrices_of(f)[:-1], group, names)
    with pytest.raises(SettingError, match=r"fits into .* pool the layers"):
        factorization_baselines(f, matrices_of(f), group, names, memory=1000)


def test_a_reading_needs_no_label_and_holds_no_nan() -> None:
    f, group = planted(dead=(1,))
    bare = read_factorization(f)
    assert bare.dead == f.dead_factors == (1,)
    assert bare.profiles == {}
    assert bare.distances is None
    assert bare.impurity is not None
    assert bare.impurity.neighbours == 12  # examples // rank
    full = read_factorization(
        f, classes=(group, "abcd"), superclasses=(group // 2, "xy"), groups=(group % 2, ("clean", "noisy")),
        concepts=(np.eye(4)[group] / 2, "abcd"), correct=group > 0,
    )  # fmt: skip
    assert list(full.profiles) == ["class", "super-class", "group", "concept"]
    assert full.weight.sum() == pytest.approx(1)
    assert full.weight[1] == 0
    assert full.mixtures.sum(1)[group != 1] == pytest.approx(np.ones(36))
    for table in (
        full.examples,
        full.neurons,
        full.groupings,
        full.spectrum,
        full.distances,
        full.lift,
        full.accuracy,
    ):
        assert table is not None
        assert not table.isna().any().any()
    # the super-class's weights are the sums of its classes'
    sums = full.profiles["class"].weights.reshape(4, 2, 2).sum(2)
    assert full.profiles["super-class"].weights == pytest.approx(sums)


def test_a_single_example_and_a_single_factor() -> None:
    found = read_factorization(
        factorization(np.ones((1, 1)), {"layer": np.ones((1, 1))}), classes=([0], ["only"])
    )
    assert found.impurity is None
    assert found.profiles["class"].purity.tolist() == [1]
    assert found.examples["example"].tolist() == [0]
