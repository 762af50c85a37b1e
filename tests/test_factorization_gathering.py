"""Gathering: what a plain loop over images and hooks gives, in files, for any batch size; and what is refused."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dissect_cases import PLAIN, Labelled, vocabulary
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from fastdissect.batches import network_input
from fastdissect.datasets import open_dataset, resize_labels
from fastdissect.errors import ActivationError, DataError, LayerError, OutputError, SettingError
from fastdissect.methods.factorization import gathering_files
from fastdissect.methods.factorization.gathering import Gathered, gather_matrices
from fastdissect.methods.factorization.gathering_copies import small_pixels
from fastdissect.methods.factorization.gathering_folder import ImageFolder
from fastdissect.methods.factorization.gathering_kept import load_gathered
from fastdissect.models import Preprocessing, TokenGrid

AS_IT_IS = Preprocessing((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


class Tiny(nn.Module):
    """Red doubled and green as it is, [n, 2, h, w]; then tokens, then one value an image."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Conv2d(3, 2, 1, bias=False)
        self.tokens = nn.Identity()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.vector = nn.Flatten()
        self.head = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.maps.weight[:] = torch.tensor([[2.0, 0, 0], [0, 1, 0]])[..., None, None]
            self.head.weight[:] = torch.eye(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maps(x)
        self.tokens(x.flatten(2).transpose(1, 2))
        out: torch.Tensor = self.head(self.vector(self.pool(x)))
        return out


def pictures(count: int = 7, size: int = 4) -> Labelled:
    pixels = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    masks = np.random.default_rng(1).integers(0, 4, (count, size, size), dtype=np.uint8)
    labels: list[Any] = [[(0, own)] for own in masks]
    labels[2] = []
    labels[3] = [(1, 4)]
    return Labelled(pixels, labels, vocabulary("abc", "d"))


def gather(data: Any = None, layers: Any = ("maps", "vector"), model: Any = None, **options: Any) -> Gathered:
    loader = data is not None and not isinstance(data, str | Labelled | ImageFolder)
    defaults = {"workers": 0, "batch_size": 3, "progress": False, "device": "cpu", "pixels": None}
    if not loader:
        defaults["preprocessing"] = AS_IT_IS
    return gather_matrices(
        Tiny() if model is None else model,
        pictures() if data is None else data,
        layers,
        **{**defaults, **options},
    )


def values(found: Gathered) -> dict[str, NDArray[np.float32]]:
    return {one.name: np.array(one.values) for one in found.matrices}


def test_numbers_by_hand() -> None:
    pixels = np.zeros((2, 2, 2, 3), np.uint8)
    pixels[0, 0, 0] = (255, 51, 0)
    pixels[1] = (0, 255, 102)
    data = Labelled(pixels, [[], []], vocabulary("a"))
    found = values(gather(data, "maps", pool="full", pixels=2))
    np.testing.assert_allclose(found["maps"][0], [2, 0, 0, 0, 0.2, 0, 0, 0], rtol=1e-6)
    np.testing.assert_array_equal(found["maps"][1], [0, 0, 0, 0, 1, 1, 1, 1])
    np.testing.assert_array_equal(found["red"], [[1, 0, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(found["blue"], np.float32([[0] * 4, [0.4] * 4]))
    np.testing.assert_allclose(values(gather(data, "maps"))["maps"], [[0.5, 0.05], [0, 1]], rtol=1e-6)
    np.testing.assert_allclose(
        values(gather(data, "maps", pool="max"))["maps"], [[2, 0.2], [0, 1]], rtol=1e-6
    )
    assert values(gather(data, "maps", pixels=1))["red"].tolist() == [[0.25], [0]]


def test_maps_tokens_and_vectors_in_the_networks_order() -> None:
    data = pictures()
    found = gather(data, ["vector", "tok*", "maps"], pool={"**": "max", "tokens": "full"}, pixels=4)
    assert [(m.name, m.kind, m.shape) for m in found.matrices] == [
        *((name, "pixels", (1, 4, 4)) for name in ("red", "green", "blue")),
        ("maps", "neurons", (2, 1, 1)),
        ("tokens", "neurons", (2, 4, 4)),
        ("vector", "neurons", (2, 1, 1)),
    ]
    x = np.stack([data.read_image(i)[0] for i in range(7)]).transpose(0, 3, 1, 2) / np.float32(255)
    maps = np.stack([2 * x[:, 0], x[:, 1]], 1)
    got = values(found)
    np.testing.assert_allclose(got["maps"], maps.max((2, 3)), rtol=1e-6)
    np.testing.assert_allclose(got["tokens"], maps.reshape(7, -1), rtol=1e-6)
    np.testing.assert_allclose(got["vector"], maps.mean((2, 3)), rtol=1e-5)
    for colour, name in enumerate(("red", "green", "blue")):
        np.testing.assert_array_equal(got[name], x[:, colour].reshape(7, -1))
    assert found.example_names == tuple(data.image_name(i) for i in range(7))


@pytest.mark.parametrize("batch_size", [1, 2, 7, 50])
def test_any_batch_size_gives_the_same_rows(batch_size: int) -> None:
    options = {"pixels": 3, "perturb": ["noise", "occlusion=0.5"], "pool": {"maps": "full"}}
    whole, parts = gather(**options), gather(batch_size=batch_size, **options)
    for name, own in values(parts).items():
        np.testing.assert_array_equal(own, values(whole)[name])
    assert parts.example_names == whole.example_names


def test_workers_and_a_loader_give_the_same_rows() -> None:
    data = pictures()
    images = [network_input(data.read_image(i)[0], AS_IT_IS, (4, 4)) for i in range(7)]
    batches = [torch.from_numpy(np.stack(images[at : at + 4])) for at in (0, 4)]
    expected = values(gather(data, pixels=4))
    for found in (gather(data, pixels=4, workers=2), gather(batches, pixels=4)):
        for name, own in values(found).items():
            np.testing.assert_allclose(own, expected[name], rtol=1e-6, atol=1e-7)


def test_pixels_are_the_pictures_whatever_the_network_subtracts() -> None:
    plain, centred = gather(pixels=4), gather(pixels=4, rectify=True, preprocessing=PLAIN)
    for colour in ("red", "green", "blue"):
        np.testing.assert_array_equal(values(plain)[colour], values(centred)[colour])


def test_small_pixels_are_means_where_they_halve() -> None:
    pixels = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    small = small_pixels(torch.full((1, 3, 9, 5), 0.3), 4)
    assert small.shape == (1, 3, 4, 4)
    torch.testing.assert_close(small, torch.full((1, 3, 4, 4), 0.3))
    assert torch.equal(small_pixels(pixels, 8), pixels)
    torch.testing.assert_close(small_pixels(pixels, 1).mean(), pixels.mean(), atol=0.05, rtol=0)


def test_shares_of_concepts_are_the_masks_own() -> None:
    data = pictures()
    found = gather(data, size=8).examples  # masks of 4 x 4, as they are
    assert found.shares is not None
    assert found.concepts is data.concepts
    for image in range(7):
        expected = np.zeros(4)
        for channel in data.read_labels(image):
            if isinstance(channel.labels, int):
                expected[channel.labels - 1] = 1
            else:
                own = resize_labels(channel.labels, (4, 4))
                expected[:3] = [(own == number).mean() for number in (1, 2, 3)]
        np.testing.assert_allclose(found.shares[image], expected, rtol=1e-6)
    assert gather(data, masks=False).examples.shares is None


def test_classes_of_the_data_set_and_whether_the_network_is_right() -> None:
    data = open_dataset("shapes:images=12,size=32")
    found = gather_matrices(
        "builtin:shapes", data, "conv5", workers=0, progress=False, device="cpu", perturb="blur"
    )
    classes, correct = found.classes, found.examples.correct
    assert classes is not None
    assert correct is not None
    assert classes.names == data.classes
    assert classes.numbers.tolist() == [data.target(i) for i in range(12) for _ in range(2)]
    from fastdissect.models import load_model

    loaded = load_model("builtin:shapes")
    columns = [data.concepts.names.index(name) for name in data.classes]
    for image in range(12):
        x = network_input(data.read_image(image)[0], loaded.preprocessing, (112, 112))
        with torch.no_grad():
            said = loaded.module(torch.from_numpy(x)[None])[0, columns].argmax()
        assert correct[2 * image] == (int(said) == data.target(image))


def test_classes_given_by_name_number_and_image() -> None:
    names = [pictures().image_name(i) for i in range(7)]
    table = gather(classes=["10", "9", "b", "9", "a", "b", "10"]).classes
    assert table is not None
    assert table.names == ("9", "10", "a", "b")
    assert table.numbers.tolist() == [1, 0, 3, 0, 2, 3, 1]
    table = gather(classes={names[1]: "x", names[4]: "y"}).classes
    assert table is not None
    assert table.numbers.tolist() == [-1, 0, -1, -1, 1, -1, -1]
    said = np.array([0, 1, -1, 0, 1, 0, 1])
    assert gather(classes=said).examples.correct is None  # one is unknown
    found = gather(classes=np.abs(said)).examples
    assert found.correct is not None
    data = pictures()
    x = np.stack([data.read_image(i)[0] for i in range(7)]).mean((1, 2))
    assert found.correct.tolist() == ((x[:, 1] > 2 * x[:, 0]) == np.abs(said)).tolist()
    with pytest.raises(SettingError, match="expected a class for each of the 7 images; got 2"):
        gather(classes=["a", "b"])
    with pytest.raises(DataError, match="has no image 'nowhere'"):
        gather(classes={"nowhere": "a"})


def folder_of(path: Path, names: list[str]) -> Path:
    for number, name in enumerate(names):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 6, 3), 20 * number, np.uint8)).save(path / name)
    return path


def test_a_folder_of_images_and_nothing_else(tmp_path: Path) -> None:
    folder_of(tmp_path, ["b.png", "a.png", "deep/c.png"])
    (tmp_path / "notes.txt").write_text("no image")
    found = gather(f"folder:{tmp_path}", pixels=2, size=4)
    assert found.example_names == ("a.png", "b.png", "deep/c.png")
    np.testing.assert_allclose(values(found)["red"][:, 0] * 255, [20, 0, 40], rtol=1e-5)
    assert (found.classes, found.examples.superclasses, found.examples.shares) == (None, None, None)


def test_folders_are_classes_and_those_around_them_superclasses(tmp_path: Path) -> None:
    folder_of(tmp_path / "images", ["pet/cat/1.png", "pet/dog/1.png", "tool/saw/1.png", "tool/saw/2.png"])
    found = gather(f"folder:{tmp_path}", size=4).examples
    assert found.classes is not None
    assert found.superclasses is not None
    assert [found.classes.names[n] for n in found.classes.numbers] == ["cat", "dog", "saw", "saw"]
    assert [found.superclasses.names[n] for n in found.superclasses.numbers] == ["pet", "pet", "tool", "tool"]
    folder_of(tmp_path / "images", ["tool/cat/1.png"])  # another class of that name
    assert ImageFolder(tmp_path).classes == ("pet/cat", "pet/dog", "tool/cat", "tool/saw")
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="expected at least one image"):
        gather(f"folder:{tmp_path / 'none'}")


def test_loaders_with_and_without_classes_masks_and_colours() -> None:
    x = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    classes = torch.tensor([1, 0, 0, 1, 1])
    bare, told = gather([x[:3], x[3:]]), gather([(x[:3], classes[:3]), (x[3:], classes[3:])])
    assert bare.classes is None
    assert told.classes is not None
    assert told.classes.numbers.tolist() == classes.tolist()
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(x, classes), batch_size=2, drop_last=True
    )
    found = gather(loader, pixels=4, perturb="brightness=0")  # fewer images than its data set has
    assert len(found.examples) == 8
    assert {len(m.values) for m in found.matrices} == {8}
    assert found.classes is not None
    assert found.classes.numbers.tolist() == [1, 1, 0, 0, 0, 0, 1, 1]
    np.testing.assert_array_equal(values(found)["red"][::2], x[:4, 0].reshape(4, -1))
    masks = torch.zeros(5, 4, 4, dtype=torch.int64)
    masks[0, :2] = 1
    shares = gather([(x, masks)], concepts=["sky"]).examples.shares
    assert shares is not None
    assert shares[:, 0].tolist() == [0.5, 0, 0, 0, 0]
    with pytest.raises(SettingError, match=r"with label maps give their names \(concepts=\)"):
        gather([(x, masks)])
    with pytest.raises(DataError, match=r"expected images in 0..1.*got 0 to 255"):
        gather([torch.tensor([0.0, 255]).view(2, 1, 1, 1).expand(2, 3, 4, 4)], pixels=2)
    undone = gather([(x - 0.5) / 0.25], pixels=4, rectify=True, preprocessing=PLAIN)
    np.testing.assert_allclose(values(undone)["red"], x[:, 0].reshape(5, -1), atol=1e-6)
    with pytest.raises(DataError, match="which runs once"):
        gather(iter([x]))
    with pytest.raises(DataError, match="got a batch of type str"):
        gather(["words"])


def test_grey_and_other_channels() -> None:
    grey = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU())
    found = gather([torch.rand(3, 1, 4, 4)], "1", grey, pixels=4)
    assert [m.name for m in found.matrices] == ["grey", "1"]
    two = nn.Sequential(nn.Conv2d(2, 2, 1), nn.ReLU())
    with pytest.raises(DataError, match=r"expected images of 1 or 3 channels.*got 2"):
        gather([torch.rand(3, 2, 4, 4)], "1", two, pixels=4)
    assert len(gather([torch.rand(3, 2, 4, 4)], "1", two).matrices) == 1


class Faulty(Tiny):
    """Adds `value` at the last image in which `at` was seen."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value
        self.seen = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen += len(x)
        if self.seen > 6:  # two images of the probe, then the fifth is number 4
            x = x.clone()
            x[-1, 0, 1, 2] = self.value
        return super().forward(x)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (-1.0, r"activations of 0 or more, as after a ReLU; got -2; .*rectify=True \(--rectify\)"),
        (float("nan"), "finite activations; got NaN or infinity"),
        (float("inf"), "finite activations; got NaN or infinity"),
    ],
)
def test_negative_nan_and_infinity_name_layer_and_image(tmp_path: Path, value: float, words: str) -> None:
    with pytest.raises(ActivationError, match=rf"layer 'maps', image '0004': expected {words}"):
        gather(model=Faulty(value), batch_size=1, layers="maps", folder=tmp_path / "kept")
    assert not list((tmp_path / "kept").glob("*"))


def test_rectified_is_recorded_and_keeps_nan_out() -> None:
    found = gather(preprocessing=PLAIN, rectify=True, layers="maps", pool="full")
    data = pictures()
    x = np.stack([network_input(data.read_image(i)[0], PLAIN, (4, 4)) for i in range(7)])
    maps = np.maximum(np.stack([2 * x[:, 0], x[:, 1]], 1), 0)
    np.testing.assert_allclose(values(found)["maps"], maps.reshape(7, -1), rtol=1e-6)
    assert found.record["rectify"] is True
    with pytest.raises(ActivationError, match="NaN"):
        gather(model=Faulty(float("nan")), layers="maps", rectify=True)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bits_are_widened(dtype: torch.dtype) -> None:
    found = values(gather(model=Tiny().to(dtype), layers="maps", pool="full"))["maps"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, values(gather(layers="maps", pool="full"))["maps"], rtol=0.02)


def test_an_interrupted_pass_leaves_nothing_and_repeated_it_is_equal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = gathering_files.MatrixFile.append

    def broken(self: gathering_files.MatrixFile, rows: NDArray[np.float32]) -> None:
        append(self, rows)
        if self.rows > 5:
            raise KeyboardInterrupt

    place = tmp_path / "kept"
    monkeypatch.setattr(gathering_files.MatrixFile, "append", broken)
    with pytest.raises(KeyboardInterrupt):
        gather(folder=place, pixels=4)
    assert not list(place.glob("*"))
    monkeypatch.undo()
    (place / ".00-red.npy.part").write_bytes(b"of a process that was killed")
    again = values(gather(folder=place, pixels=4))
    for name, own in values(gather(pixels=4)).items():
        np.testing.assert_array_equal(own, again[name])
    assert not list(place.glob(".*"))


def test_a_disk_that_fills_at_the_last_file_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = gathering_files.MatrixFile.finish

    def full(self: gathering_files.MatrixFile) -> Any:
        if "vector" in self.path.name:
            raise OSError(28, "No space left on device")
        return finish(self)

    monkeypatch.setattr(gathering_files.MatrixFile, "finish", full)
    with pytest.raises(OSError, match="No space left"):
        gather(folder=tmp_path / "kept")
    assert not list((tmp_path / "kept").glob("*"))


def test_kept_matrices_are_found_again_without_the_network(tmp_path: Path) -> None:
    class Once(Tiny):
        calls = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return super().forward(x)

    model = Once()
    first = gather(model=model, folder=tmp_path / "kept", perturb="noise", classes=list("abcabca"))
    calls = model.calls
    again = gather(model=model, folder=tmp_path / "kept", perturb="noise", classes=list("abcabca"))
    assert model.calls == calls + 1  # the probe
    for name, own in values(first).items():
        np.testing.assert_array_equal(own, values(again)[name])
    a, b = first.examples, again.examples
    assert a.names == b.names
    for name in ("groups", "classes"):
        one, other = getattr(a, name), getattr(b, name)
        assert one.names == other.names
        np.testing.assert_array_equal(one.numbers, other.numbers)
    np.testing.assert_array_equal(a.shares, b.shares)  # type: ignore[arg-type]
    np.testing.assert_array_equal(a.images, b.images)
    assert b.concepts is not None
    assert b.concepts.names == pictures().concepts.names
    loaded = load_gathered(tmp_path / "kept")
    assert loaded is not None
    assert loaded.record == json.loads(json.dumps(first.record))
    with pytest.raises(OutputError, match="matrices of another pass: pixels differ"):
        gather(model=model, folder=tmp_path / "kept", perturb="noise", classes=list("abcabca"), pixels=4)
    (tmp_path / "kept" / "00-maps.npy").write_bytes(b"cut")
    with pytest.raises(OutputError, match="is missing or damaged"):
        load_gathered(tmp_path / "kept")


def test_a_folder_with_something_else_and_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(OutputError, match="it holds something else"):
        gather(folder=tmp_path)
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(gathering_files.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OutputError, match=r"expected 112 bytes of free disk.*got 1,000"):
        gather()


def test_temporary_files_go_with_their_matrices() -> None:
    found = gather()
    place = Path(found.matrices[0].values.filename).parent  # type: ignore[attr-defined]
    assert place.is_dir()
    with found:
        pass
    assert not place.exists()
    found = gather()
    place = Path(found.matrices[0].values.filename).parent  # type: ignore[attr-defined]
    del found
    gc.collect()
    assert not place.exists()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"pool": "median"}, SettingError, "expected pool to be one of mean, max, full"),
        ({"pool": {"head": "full"}}, SettingError, "pool: 'head' is none of the layers maps, vector"),
        ({"pool": {"nothing": "full"}}, LayerError, "nothing"),
        ({"pixels": 0}, SettingError, "expected pixels to be a whole number of 1 or more"),
        ({"pixels": True}, SettingError, "expected pixels"),
        ({"rectify": 1}, SettingError, "expected rectify to be True or False"),
        ({"perturb": "rain"}, SettingError, "unknown perturbation 'rain'"),
        ({"perturb": "blur=-1"}, SettingError, "expected a strength from 0 to 1000"),
        ({"perturb": ["blur", "blur=2"]}, SettingError, "blur=2 comes twice"),
        ({"layers": "nowhere"}, LayerError, "nowhere"),
        ({"layers": []}, LayerError, "at least one layer"),
        ({"batch_size": 0}, SettingError, "batch_size"),
        ({"tokens": TokenGrid(3), "layers": "tokens"}, LayerError, "expected tokens"),
        ({"data": 5}, DataError, "expected a data set's name"),
        ({"data": "folder:/nowhere/at/all"}, DataError, "expected a folder of images; there is nothing"),
        ({"data": f"folder:{__file__}"}, DataError, "expected a folder of images; there is a file"),
        ({"data": "folder:"}, SettingError, "names no folder"),
        ({"size": 0}, SettingError, "expected size"),
    ],
)
def test_bad_input_is_refused_before_the_pass(options: dict[str, Any], error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        gather(**options)


def test_a_layer_called_red() -> None:
    model = nn.Sequential()
    model.add_module("red", nn.Conv2d(3, 1, 1))
    with pytest.raises(SettingError, match="layer 'red' has the name of a pixel matrix"):
        gather(model=model, layers="red", pixels=4)
