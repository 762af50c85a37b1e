"""From images to factors: planted classes found without a label, kept studies, new images, what is refused before the pass."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dissect_cases import Labelled, vocabulary
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from fastdissect.errors import ActivationError, DataError, ModelError, OutputError, SettingError
from fastdissect.methods.factorization.factorizing import factorize, factorize_gathered
from fastdissect.methods.factorization.factorizing_images import transform_images
from fastdissect.methods.factorization.factorizing_kept import FactorizationStudy, kept_study, study_key
from fastdissect.methods.factorization.gathering import gather, gather_matrices
from fastdissect.methods.factorization.gathering_opening import open_gathering
from fastdissect.methods.factorization.restarts import factorize_matrices
from fastdissect.methods.factorization.result import Factorization
from fastdissect.methods.factorization.settings import FactorizationSettings
from fastdissect.models import Preprocessing

AS_IT_IS = Preprocessing((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
SIZE = 8
OPTIONS: dict[str, Any] = {
    "preprocessing": AS_IT_IS, "workers": 0, "batch_size": 7, "progress": False, "device": "cpu", "pixels": 8,
}  # fmt: skip


class Halves(nn.Module):
    """Each colour in each half of the image, as a unit of its own: 6 units and a dead one."""

    def __init__(self) -> None:
        super().__init__()
        self.units = nn.Identity()
        self.signed = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = x[..., :4].mean((2, 3)), x[..., 4:].mean((2, 3))
        out: torch.Tensor = self.units(torch.cat([left, right, 0 * left[:, :1]], 1))
        return self.signed(out - 0.5)  # type: ignore[no-any-return]


def picture(kind: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """One colour in one half, at several brightnesses, with a little noise."""
    pixels = rng.integers(0, 6, (SIZE, SIZE, 3))
    half = slice(0, 4) if kind % 2 else slice(4, 8)
    pixels[:, half, kind % 3] += rng.integers(120, 240)
    return pixels.astype(np.uint8)


def data(images: int = 60, seed: int = 0) -> Labelled:
    rng = np.random.default_rng(seed)
    kinds = np.arange(images) % 6
    return Labelled(
        np.stack([picture(int(k), rng) for k in kinds]), [[] for _ in range(images)], vocabulary("a")
    )


def found(**options: Any) -> Factorization:
    return factorize(Halves(), data(), "units", **{**OPTIONS, "rank": 6, **options})


def test_planted_kinds_are_the_factors_and_the_neurons_are_theirs() -> None:
    f = found()
    strongest = f.mixtures.argmax(1)
    for kind in range(6):
        assert len(set(strongest[kind::6])) == 1
    assert len(set(strongest)) == 6
    units, red = f["units"], f["red"]
    for kind in range(6):
        factor = strongest[kind]
        assert units.values[:, factor].argmax() == kind % 3 + 3 * (kind % 2 == 0)
        if kind % 3 == 0:
            image = red.values[:, factor].reshape(SIZE, SIZE)
            own, other = (image[:, :4], image[:, 4:]) if kind % 2 else (image[:, 4:], image[:, :4])
            assert own.mean() > 10 * other.mean()
    assert f.dead_features("units").tolist() == [6]
    assert f.example_names == tuple(data().image_name(i) for i in range(60))
    assert f.record["layers"] == {"units": "mean"}
    assert f.record["data"] == "labelled"


def test_it_is_gathering_and_factorising_and_nothing_else() -> None:
    gathered = gather_matrices(Halves(), data(), "units", **OPTIONS)
    alone = factorize_matrices(gathered.matrices, FactorizationSettings(rank=6))
    f = found()
    np.testing.assert_array_equal(f.mixtures, alone.mixtures)
    assert f.history.equals(alone.history)


def test_auto_chooses_from_the_curve_and_takes_its_factors() -> None:
    gathered = gather_matrices(Halves(), data(), "units", **OPTIONS)
    settings = FactorizationSettings(iterations=60)
    study = factorize_gathered(gathered, settings, rank="auto", ranks=[2, 6, 9], progress=False)
    assert study.curve is not None
    assert study.curve.table["rank"].tolist() == [2, 6, 9]
    table = study.curve.table
    assert [study.factorization.rank] == [study.curve.chosen] == table["rank"][table["chosen"]].tolist()
    other = factorize_gathered(gathered, settings, rank=3, ranks=[2, 4], progress=False)
    assert other.factorization.rank == 3
    assert other.curve is not None
    assert other.curve.table["rank"].tolist() == [2, 4]


def test_the_training_images_come_back_and_new_ones_find_their_kind(tmp_path: Path) -> None:
    f = found()
    again = transform_images(f, data(), model=Halves(), device="cpu", progress=False)
    assert again.names == f.example_names
    np.testing.assert_allclose(again.mixtures, f.mixtures, rtol=1e-4, atol=1e-5)
    fresh = data(12, seed=9)
    pictures = [fresh.read_image(i)[0] for i in range(12)]
    new = transform_images(f, pictures, model=Halves(), device="cpu", progress=False)
    np.testing.assert_array_equal(new.mixtures.argmax(1), f.mixtures.argmax(1)[:12])
    for i, pixels in enumerate(pictures):
        Image.fromarray(pixels).save(tmp_path / f"{i:02d}.png")
    for given in (tmp_path, f"folder:{tmp_path}", [tmp_path]):
        files = transform_images(f, given, model=Halves(), device="cpu", progress=False)
        np.testing.assert_allclose(files.mixtures, new.mixtures, rtol=1e-4, atol=1e-6)
    assert files.names[0] == "00.png"


def test_new_images_need_the_recorded_network() -> None:
    f = found()
    with pytest.raises(
        ModelError, match=r"'Halves' cannot be opened by this name: .*\(model=, --model SPEC\)"
    ):
        transform_images(f, data(), device="cpu", progress=False)

    class Other(Halves):
        def __init__(self) -> None:
            super().__init__()
            self.more = nn.Linear(1, 1)

    with pytest.raises(ModelError, match="expected the network that was factorised"):
        transform_images(f, data(), model=Other(), device="cpu", progress=False)
    with pytest.raises(DataError, match="is missing"):
        transform_images(f, "nowhere.png", model=Halves(), device="cpu", progress=False)
    with pytest.raises(SettingError, match="got a number"):
        transform_images(f, 5, model=Halves(), device="cpu", progress=False)
    gathered = gather_matrices(Halves(), data(), "units", **OPTIONS)
    bare = factorize_matrices(gathered.matrices, FactorizationSettings(rank=2, iterations=3))
    with pytest.raises(OutputError, match="expected a factorisation whose record says how"):
        transform_images(bare, data(), model=Halves())


def test_a_loaders_images_are_known_if_their_pixels_are() -> None:
    x = torch.from_numpy(np.stack([data().read_image(i)[0] for i in range(60)])).permute(0, 3, 1, 2) / 255
    options = {**OPTIONS, "preprocessing": None}
    f = factorize(Halves(), [x[:30], x[30:]], "units", **{**options, "rank": 6})
    again = transform_images(f, data(), model=Halves(), device="cpu", progress=False)
    np.testing.assert_allclose(again.mixtures, f.mixtures, rtol=1e-3, atol=1e-4)
    unknown = factorize(Halves(), [x], "units", **{**options, "rank": 6, "pixels": None})
    with pytest.raises(SettingError, match="colours and normalisation are known"):
        transform_images(unknown, data(), model=Halves())


def test_a_study_is_kept_and_found_again_by_the_same_key(tmp_path: Path) -> None:
    options = {k: v for k, v in OPTIONS.items() if k != "progress"}
    opened = open_gathering(Halves(), data(), "units", **options, perturb="noise", classes=list("ab" * 30))
    settings = FactorizationSettings(iterations=20)
    with gather(opened, progress=False) as gathered:
        study = factorize_gathered(gathered, settings, rank="auto", ranks=[2, 3], progress=False)
    key = study_key(opened, settings, "auto", [2, 3])
    assert kept_study(tmp_path / "out", key) is None
    study.save(tmp_path / "out", key)
    again = kept_study(tmp_path / "out", key)
    assert again is not None
    np.testing.assert_array_equal(again.factorization.mixtures, study.factorization.mixtures)
    assert again.factorization.record == json.loads(json.dumps(dict(study.factorization.record)))
    assert again.examples.names == study.examples.names
    assert again.curve is not None
    assert study.curve is not None
    assert (again.curve.chosen, again.curve.why) == (study.curve.chosen, study.curve.why)
    assert again.curve.table.equals(study.curve.table)
    for changed in (
        study_key(opened, settings, 2, [2, 3]),
        study_key(opened, FactorizationSettings(iterations=21), "auto", [2, 3]),
        study_key(open_gathering(Halves(), data(), "units", **options), settings, "auto", [2, 3]),
        study_key(
            open_gathering(Halves(), data(), "units", **{**options, "pixels": 4}), settings, "auto", None
        ),
    ):
        assert kept_study(tmp_path / "out", changed) is None
    (tmp_path / "out" / "study.json").write_text("{")
    with pytest.raises(OutputError, match=r"study.json is damaged"):
        kept_study(tmp_path / "out", key)


def test_an_unfinished_save_is_no_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {k: v for k, v in OPTIONS.items() if k != "progress"}
    opened = open_gathering(Halves(), data(), "units", **options)
    settings, key = FactorizationSettings(rank=2, iterations=3), {"a": 1}
    with gather(opened, progress=False) as gathered:
        study = factorize_gathered(gathered, settings, progress=False)
    study.save(tmp_path, key)
    assert kept_study(tmp_path, key) is not None

    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(type(study.examples), "save", broken)
    with pytest.raises(KeyboardInterrupt):
        FactorizationStudy(study.factorization, study.examples).save(tmp_path, key)
    assert kept_study(tmp_path, key) is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rank": 61}, "expected at most as many factors as examples, 60; got rank 61"),
        ({"rank": 0}, 'expected a rank of 1 or more, or "auto"; got 0'),
        ({"rank": "many"}, "got 'many'"),
        ({"rank": True}, "got True"),
        ({"ranks": [2, 99]}, "got rank 99"),
        ({"ranks": []}, "expected ranks to try; got none"),
        ({"images": 4}, "as many factors as examples, 4; got rank 6"),
    ],
)
def test_ranks_that_cannot_be_are_refused_before_the_pass(options: dict[str, Any], words: str) -> None:
    class Counting(Halves):
        calls = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return super().forward(x)

    net = Counting()
    with pytest.raises(SettingError, match=words):
        factorize(net, data(), "units", **{**OPTIONS, "rank": 6, **options})
    assert net.calls == 1  # the probe


def test_negative_activations_say_the_layer_and_the_remedy() -> None:
    with pytest.raises(ActivationError, match=r"layer 'signed', image '0000'.*--rectify"):
        factorize(Halves(), data(), "signed", **OPTIONS, rank=2)
    f = factorize(Halves(), data(), "signed", **OPTIONS, rank=2, rectify=True)
    assert f.record["rectify"] is True


def test_one_class_only() -> None:
    from fastdissect.methods.factorization.reading import read_factorization

    gathered = gather_matrices(Halves(), data(), "units", **OPTIONS, classes=["a"] * 60)
    study = factorize_gathered(gathered, FactorizationSettings(rank=3, iterations=20), progress=False)
    classes = study.examples.classes
    assert classes is not None
    reading = read_factorization(study.factorization, classes=(classes.numbers, classes.names))
    assert (reading.profiles["class"].weights == 1).all()
