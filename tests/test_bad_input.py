"""Bad input: an error that says what was expected, what came, and what to do; hooks are gone, nothing is written."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dissect_cases import PLAIN, Labelled, Net, vocabulary
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import fastdissect as fd
from fastdissect.datasets import open_dataset
from fastdissect.errors import (
    ActivationError,
    DataError,
    FastdissectError,
    LayerError,
    ModelError,
    SettingError,
)

DATA = "shapes:images=12,size=32"


def run(model: Any = None, data: Any = DATA, layers: Any = "first", **options: Any) -> Any:
    defaults = {"preprocessing": PLAIN, "cache": None, "workers": 0, "batch_size": 4, "progress": False}
    if isinstance(data, (DataLoader, list)):
        defaults["concepts"] = ["a", "b"]
    return fd.dissect(Net().eval() if model is None else model, data, layers, **{**defaults, **options})


class Step(nn.Module):
    """Applies a function."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(x)


def chain(*functions: Callable[[Any], Any]) -> nn.Module:
    return nn.Sequential(*(Step(f) for f in functions)).eval()


def hooks_of(module: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in module.modules())


def fails(
    error: type[BaseException], message: str, model: Any = None, tmp_path: Path | None = None, **options: Any
) -> None:
    """dissect() raises this error; no hook is left, and no folder."""
    model = Net().eval() if model is None else model
    out = None if tmp_path is None else tmp_path / "out"
    with pytest.raises(error, match=message) as info:
        run(model, out=out, **options)
    assert isinstance(info.value, FastdissectError) == issubclass(error, FastdissectError)
    if isinstance(model, nn.Module):
        assert hooks_of(model) == 0
    if out is not None and "of the first pass again" not in str(info.value):  # its checkpoint stays
        assert not out.exists()


# Layers


def test_an_unknown_layer_lists_the_nearest(tmp_path: Path) -> None:
    fails(LayerError, r"secnd.*nearest.*second", layers="secnd", tmp_path=tmp_path)
    fails(LayerError, r"\*z", layers="*z", tmp_path=tmp_path)


def test_an_output_that_is_no_tensor(tmp_path: Path) -> None:
    text = chain(lambda x: "text")
    fails(LayerError, r"layer '0': expected a tensor.*got str", text, tmp_path, layers="0")
    two = chain(lambda x: {"a": x, "b": x})
    fails(LayerError, r"layer '0': expected a tensor.*'a': tensor.*'b'", two, tmp_path, layers="0")


def test_an_output_without_a_dimension_for_images(tmp_path: Path) -> None:
    fails(LayerError, "expected one entry an image", chain(lambda x: x.mean(0)), tmp_path, layers="0")
    fails(LayerError, "expected 2, 3 or 4 dimensions", chain(lambda x: x[:, 0, 0, 0]), tmp_path, layers="0")


@pytest.mark.parametrize("dtype", [torch.float64, torch.int32, torch.bool, torch.complex64])
def test_other_dtypes(tmp_path: Path, dtype: torch.dtype) -> None:
    fails(
        ActivationError,
        f"layer '0': expected float32, float16 or bfloat16 activations, got {str(dtype)[6:]}; (call|dissect)",
        chain(lambda x: x.to(dtype)),
        tmp_path,
        layers="0",
    )


def test_a_double_network_is_told_to_call_float(tmp_path: Path) -> None:
    fails(ActivationError, r"got float64; call \.float\(\)", Net().eval().double(), tmp_path)


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.relu, self.never, self.once = nn.ReLU(), nn.ReLU(), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.once(self.relu(self.relu(x)))
        return out


def test_layers_called_twice_or_never(tmp_path: Path) -> None:
    twice = r"layer 'relu': expected one call a forward pass; got 2 .*dissect a layer around it"
    fails(LayerError, twice, Twice().eval(), tmp_path, layers="relu")
    fails(
        LayerError,
        "layer 'never': expected one call a forward pass; got none",
        Twice().eval(),
        tmp_path,
        layers="never",
    )
    fails(LayerError, "layer '(relu|never)'", Twice().eval(), tmp_path, layers=["once", "never", "relu"])


class Sometimes(nn.Module):
    """Calls its layer a second time when the images are bright."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.layer, self.after, self.times = nn.ReLU(), nn.ReLU(), times

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(self.times if x.max() > 0 else 1):
            y = self.layer(x)
        out: torch.Tensor = self.after(y)
        return out


@pytest.mark.parametrize("times", [0, 2])
def test_a_layer_that_some_batches_call_otherwise(tmp_path: Path, times: int) -> None:
    model: nn.Module = Sometimes(times).eval()
    error, message = (LayerError, "expected one call") if times else (UnboundLocalError, "y")
    fails(error, message, model, tmp_path, layers=["layer", "after"])


# Maps and values


def images_of(*levels: int, size: int = 16) -> Labelled:
    """Grey images of these levels."""
    pixels = np.stack([np.full((size, size, 3), level, np.uint8) for level in levels])
    return Labelled(pixels, [[(0, np.ones((size, size), np.uint16))]] * len(levels), vocabulary(["a"]))


def poisoned(value: float, at: Any, when: int = 200) -> nn.Module:
    """A network that puts a value into the maps of images of level `when`."""

    def poison(x: torch.Tensor) -> torch.Tensor:
        y = x.clone()
        bad = torch.round((x[:, 0, 0, 0] * 0.25 + 0.5) * 255) == when
        y[(bad, *at)] = value
        return y

    return chain(poison)


LEVELS = [10, 20, 30, 40, 50, 200, 60, 200]


@pytest.mark.parametrize("passes", [1, 2, 3])
@pytest.mark.parametrize(
    ("value", "what"), [(np.nan, "NaN"), (np.inf, "inf"), (-np.inf, "-inf"), (-2e38, "-2e")]
)
def test_an_unusable_value_names_layer_unit_and_image(
    tmp_path: Path, value: float, what: str, passes: int
) -> None:
    message = rf"layer '0', unit 2, image 0005: expected a finite activation; got {what}.* at cell 35; .*nan=\"omit\""
    model = poisoned(value, (2, 2, 3))
    fails(ActivationError, message, model, tmp_path, data=images_of(*LEVELS), layers="0", passes=passes)


def test_a_unit_without_a_usable_value(tmp_path: Path) -> None:
    for passes in (1, 2, 3):
        fails(
            ActivationError,
            "layer '0': expected at least one usable activation a unit; got none for unit 1",
            poisoned(np.nan, (1,), when=9),
            tmp_path,
            data=images_of(9, 9, 9, 9, 9),
            layers="0",
            passes=passes,
            nan="omit",
        )


def test_omitting_where_it_is_not_defined(tmp_path: Path) -> None:
    fails(
        SettingError, 'nan="omit" is not defined where', tmp_path=tmp_path, nan="omit", profile="dissect-2020"
    )


@pytest.mark.parametrize("passes", [1, 2, 3])
def test_a_map_that_changes_its_size(tmp_path: Path, passes: int) -> None:
    def crop(x: torch.Tensor) -> torch.Tensor:
        return x[:, :, :-3] if (x[:, 0, 0, 0] > 1).any() else x

    message = (
        r"layer '0': expected maps \(units, height, width\) = \(3, 16, 16\) of float32.*got \(3, 13, 16\)"
    )
    fails(ActivationError, message, chain(crop), tmp_path, data=images_of(*LEVELS), layers="0", passes=passes)


@pytest.mark.parametrize("passes", [1, 2, 3])
def test_a_map_that_changes_its_dtype(tmp_path: Path, passes: int) -> None:
    def halve(x: torch.Tensor) -> torch.Tensor:
        return x.half() if (x[:, 0, 0, 0] > 1).any() else x

    message = r"of float32, as in the first batch; got \(3, 16, 16\) of float16"
    fails(
        ActivationError, message, chain(halve), tmp_path, data=images_of(*LEVELS), layers="0", passes=passes
    )


class Dice(nn.Module):
    """A network that is not deterministic."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.rand(())


@pytest.mark.parametrize("passes", [2, 3])
def test_a_network_that_is_not_deterministic(tmp_path: Path, passes: int) -> None:
    message = r"layer '0': expected the activations of the first pass again; batch 0 differs; is the model deterministic"
    fails(ActivationError, message, nn.Sequential(Dice()).eval(), tmp_path, layers="0", passes=passes)
    assert run(nn.Sequential(Dice()).eval(), layers="0", passes=1)["0"].seen.tolist() == [12 * 32 * 32] * 3


# Settings


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quantile": 0}, "expected a quantile between 0 and 1"),
        ({"quantile": 1}, "expected a quantile between 0 and 1"),
        ({"quantile": -0.1}, "expected a quantile between 0 and 1"),
        ({"quantile": 0.995}, r"did you mean 1 - 0.995 = 0.005\?"),
        ({"quantile": "x"}, "expected a quantile such as"),
        ({"profile": "netdisect"}, "nearest: netdissect"),
        ({"nan": "skip"}, 'expected nan to be "error" or "omit"'),
        ({"passes": 4}, 'expected passes to be "auto", 1, 2 or 3; got 4'),
        ({"passes": True}, "expected passes"),
        ({"batch_size": 0}, "expected batch_size to be a whole number of 1 or more; got 0"),
        ({"batch_size": 1.5}, "expected batch_size"),
        ({"images": 0}, "expected images to be a whole number of 1 or more"),
        ({"workers": -1}, "expected workers to be a whole number of 0 or more"),
        ({"memory": 0}, "expected memory to be a whole number of 1 or more"),
        ({"device": "toaster"}, "expected a device that torch has here.*got 'toaster'"),
        ({"layout": "CHWN"}, "layout: expected 'auto', 'NCHW', 'NHWC' or 'NTC'"),
        ({"size": "wide"}, "expected size such as 224 or 224x320"),
        ({"mask_size": (0, 5)}, "expected mask_size such as"),
        ({"upsamplng": "pil"}, "nearest: upsampling"),
        ({"concepts": ["a"]}, "expected concepts= with a DataLoader only"),
        (
            {"thresholds": {"first": [0, 1]}},
            r"layer 'first': expected 7 thresholds, one a unit; got shape \(2,\)",
        ),
        (
            {"thresholds": {"first": np.zeros((7, 1))}},
            r"expected thresholds \{layer: \[units\]\}.*shape \(7, 1\)",
        ),
        ({"thresholds": {"first": [np.nan] * 7}}, "without NaN"),
        ({"thresholds": {"other": [0.0]}}, "for the layers first; got 'other'"),
    ],
)
def test_settings(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    fails(SettingError, message, tmp_path=tmp_path, **options)


def test_models_and_data_that_are_none(tmp_path: Path) -> None:
    fails(ModelError, "expected an nn.Module or a name, got int", 3, tmp_path)
    fails(
        DataError,
        "expected a data set's name, a .*Dataset or a DataLoader.*; got int",
        tmp_path=tmp_path,
        data=3,
    )
    fails(SettingError, "unknown data set 'broaden:x'.*nearest", tmp_path=tmp_path, data="broaden:x")
    empty = Labelled(np.zeros((0, 8, 8, 3), np.uint8), [], vocabulary(["a"]))
    fails(DataError, "expected at least one image; got none", tmp_path=tmp_path, data=empty)


# Labels


def labelled(labels: Any, size: int = 16) -> Labelled:
    return Labelled(np.zeros((1, size, size, 3), np.uint8), [labels], vocabulary(["a", "b"]))


@pytest.mark.parametrize("number", [3, 65535, 1 << 20, (1 << 32) + 1, -1])
def test_a_label_that_the_vocabulary_lacks(tmp_path: Path, number: int) -> None:
    labels = np.zeros((16, 16), np.int64)
    labels[3, 4] = number
    message = f"image 0000: expected label numbers of the vocabulary; got {number}; add it to the label table"
    narrow = labels.astype(np.uint16) if 0 <= number < 65536 else labels
    for channel in (labels, narrow, number):
        data = labelled([(0, channel)])
        fails(DataError, message, chain(lambda x: x), tmp_path, data=data, layers="0", mask_size=16)


def test_a_mask_of_another_aspect(tmp_path: Path) -> None:
    data = labelled([(0, np.ones((10, 16), np.uint16))])
    fails(
        DataError,
        r"image 0000: expected masks of its aspect .* 1\.000.*got a mask of 10 x 16",
        chain(lambda x: x),
        tmp_path,
        data=data,
        layers="0",
    )


def test_masks_that_were_rounded_are_of_the_same_aspect() -> None:
    for size, mask in (
        ((7, 5), (3, 3)),
        ((7, 5), (4, 2)),
        ((9, 5), (5, 3)),
        ((227, 224), (113, 112)),
        ((16, 9), (320, 180)),
    ):
        pixels = np.zeros((1, *size, 3), np.uint8)
        data = Labelled(pixels, [[(0, np.ones(mask, np.uint16))]], vocabulary(["a"]))
        assert run(chain(lambda x: x), data, "0", quantile=0.5)["0"].concept_area[0] > 0


# DataLoaders


def loader_of(images: int = 12, **options: Any) -> DataLoader[Any]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(images, 3, 16, 16, generator=generator)
    y = torch.randint(0, 3, (images, 16, 16), generator=generator)
    return DataLoader(TensorDataset(x, y), **{"batch_size": 4, **options})


class Endless(IterableDataset[Any]):
    """A stream of so many images; says another length, or none."""

    def __init__(self, images: int, says: int | None) -> None:
        self.images, self.says = images, says

    def __iter__(self) -> Any:
        return iter(
            [
                (torch.full((3, 16, 16), float(i)), torch.ones(16, 16, dtype=torch.long))
                for i in range(self.images)
            ]
        )

    def __len__(self) -> int:
        if self.says is None:
            raise TypeError("no length")
        return self.says


def test_a_data_set_of_unknown_length(tmp_path: Path) -> None:
    stream = DataLoader(Endless(12, None), batch_size=4)
    model = chain(lambda x: x)
    fails(
        DataError,
        "of known length.*pass images= with the number of images",
        model,
        tmp_path,
        data=stream,
        layers="0",
    )
    assert run(model, stream, "0", images=12)["0"].shape[0] == 12
    assert run(model, stream, "0", images=50)["0"].shape[0] == 12  # an upper bound


@pytest.mark.filterwarnings("ignore:Length of IterableDataset")
def test_a_data_set_longer_than_announced(tmp_path: Path) -> None:
    model = chain(lambda x: x)
    message = "expected at most 10 images, as announced; got more; give its true length"
    fails(
        DataError,
        message,
        model,
        tmp_path,
        data=DataLoader(Endless(12, None), batch_size=4),
        layers="0",
        images=10,
    )
    fails(DataError, message, model, tmp_path, data=DataLoader(Endless(12, 10), batch_size=4), layers="0")


@pytest.mark.parametrize(
    ("collate", "message"),
    [
        (lambda items: {"image": torch.stack([i[0] for i in items])}, "got a batch of type dict"),
        (lambda items: torch.stack([i[0] for i in items]), "got a batch of type Tensor"),
        (lambda items: (1, 2), "got a batch of type tuple of int, int"),
        (lambda items: tuple(torch.zeros(2, 3, 4, 4) for _ in range(3)), "tuple of Tensor, Tensor, Tensor"),
        (
            lambda items: (torch.zeros(4, 3), torch.zeros(4)),
            r"expected images \[n, channels, H, W\].*got \[4, 3\]",
        ),
        (
            lambda items: (torch.zeros(4, 3, 16, 16), torch.zeros(3, 16, 16)),
            "as many labels; got .* and 3, of type Tensor",
        ),
        (
            lambda items: (torch.zeros(4, 3, 16, 16), torch.zeros(4, 16, 16)),
            "expected integer labels of 0 or more.*float32",
        ),
        (
            lambda items: (torch.zeros(4, 3, 16, 16), torch.zeros(4).long()),
            r"image 0: expected integer labels .*int64 \(\)",
        ),
        (
            lambda items: (torch.zeros(4, 3, 16, 16), -torch.ones(4, 16, 16).long()),
            "of 0 or more .* from -1 on",
        ),
        (lambda items: (torch.zeros(4, 3, 16, 16), torch.ones(4, 16, 16).long() * 3), "vocabulary; got 3"),
        (lambda items: (torch.zeros(4, 3, 16, 16), torch.ones(4, 8, 16).long()), "masks of its aspect"),
    ],
)
def test_batches_of_another_make(tmp_path: Path, collate: Any, message: str) -> None:
    fails(DataError, message, chain(lambda x: x), tmp_path, data=loader_of(collate_fn=collate), layers="0")


def test_loaders_that_run_once_or_are_empty(tmp_path: Path) -> None:
    model = chain(lambda x: x)
    with pytest.raises(DataError, match="which can be read again; got generator, which runs once"):
        run(model, (batch for batch in loader_of()), "0", images=12, concepts=["a", "b"])
    fails(
        DataError,
        "expected at least one image; got no batch",
        model,
        tmp_path,
        data=loader_of(3, drop_last=True),
        layers="0",
    )


def test_loaders_need_a_vocabulary(tmp_path: Path) -> None:
    model = chain(lambda x: x)
    for concepts in (None, [], "a"):
        fails(
            SettingError,
            "expected concepts= with a DataLoader",
            model,
            tmp_path,
            data=loader_of(),
            layers="0",
            concepts=concepts,
        )
    good = vocabulary(["a", "b"])
    for bad in (
        type(good)(np.array([0, 1]), ("a", "b"), good.category, good.categories),
        type(good)(np.array([2, 1]), ("a", "b"), good.category, good.categories),
        type(good)(np.array([1, 2]), ("a",), good.category, good.categories),
        type(good)(np.array([1, 2]), ("a", "b"), np.array([0, 1]), good.categories),
    ):
        fails(
            SettingError,
            "expected a Concepts of",
            model,
            tmp_path,
            data=loader_of(),
            layers="0",
            concepts=bad,
        )


def test_loaders_take_no_size(tmp_path: Path) -> None:
    fails(
        SettingError,
        "expected size= with a data set only",
        chain(lambda x: x),
        tmp_path,
        data=loader_of(),
        layers="0",
        size=8,
    )


@pytest.mark.parametrize("passes", [2, 3])
def test_a_shuffled_loader_is_noticed_by_the_second_pass(tmp_path: Path, passes: int) -> None:
    message = re.escape("the order of the images fixed (shuffle=False, no random transforms)")
    shuffled = loader_of(shuffle=True, generator=torch.Generator().manual_seed(1))
    fails(ActivationError, message, chain(lambda x: x), tmp_path, data=shuffled, layers="0", passes=passes)


@pytest.mark.parametrize("change", ["fewer", "more"])
def test_a_loader_of_another_length_the_second_time(tmp_path: Path, change: str) -> None:
    class Changing(IterableDataset[Any]):
        readings = 0

        def __iter__(self) -> Any:
            self.readings += 1  # the first one is a look at the first batch
            images = 12 if self.readings < 3 else 8 if change == "fewer" else 16
            return iter(
                [(torch.full((3, 16, 16), float(i)), torch.ones(16, 16).long()) for i in range(images)]
            )

    loader = DataLoader(Changing(), batch_size=4)
    message = "it had 3 batches, this one 2" if change == "fewer" else "batch 3 differs"
    fails(
        ActivationError, message, chain(lambda x: x), tmp_path, data=loader, layers="0", passes=2, images=20
    )


# Hooks


def test_hooks_are_gone_after_success_errors_and_ctrl_c(tmp_path: Path) -> None:
    model = Net().eval()
    run(model, layers=["first", "second"])
    assert hooks_of(model) == 0

    def press(x: torch.Tensor) -> torch.Tensor:
        if (x[:, 0, 0, 0] > 1).any():
            raise KeyboardInterrupt
        return x

    fails(
        KeyboardInterrupt,
        "^$",
        chain(lambda x: x, press),
        tmp_path,
        data=images_of(*LEVELS),
        layers=["0", "1"],
    )

    def fail(x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("the model's own")

    fails(RuntimeError, "the model's own", chain(lambda x: x, fail), tmp_path, layers=["0", "1"])


def test_a_users_own_hooks_stay() -> None:
    model, seen = Net().eval(), []
    model.first.register_forward_hook(lambda m, a, o: seen.append(len(o)))
    run(model)
    assert seen == [2, 4, 4, 4]  # a look at two images of zeros, and the batches
    assert hooks_of(model) == 1


def test_an_image_that_is_missing(tmp_path: Path) -> None:
    from fastdissect.datasets import write_broden

    write_broden(open_dataset(DATA), tmp_path / "data")
    image = min((tmp_path / "data" / "images").rglob("*00000004.png"))
    image.unlink()
    for workers in (0, 1):
        fails(
            DataError, "00000004.png", tmp_path=tmp_path, data=f"broden:{tmp_path / 'data'}", workers=workers
        )
