from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from fastdissect.errors import ModelError, SettingError
from fastdissect.models import Preprocessing, load_model, weights_digest
from fastdissect.models.preprocessing import IMAGENET

CODE = """
from __future__ import annotations
from dataclasses import dataclass
import torch
from torch import nn
import helper_beside
from fastdissect.models import Preprocessing

@dataclass
class Width:
    units: int = helper_beside.UNITS

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, Width().units, 3)
    def forward(self, x):
        return self.conv(x)

def build():
    return Net()

def with_pixels():
    return Net(), Preprocessing((0, 0, 0), (1, 1, 1), (32, 48), source="the file")

def breaks():
    raise OSError("no disk")

def gives_a_number():
    return 3

def imports_late():
    import helper_beside
    return Net()

ready = nn.ReLU()
number = 3
"""


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with networks, importable as a file and as a module; gone from sys.modules afterwards."""
    (tmp_path / "helper_beside.py").write_text("UNITS = 5\n")
    (tmp_path / "user_nets.py").write_text(CODE)
    for name in ("helper_beside", "user_nets", "fastdissect_model_user_nets"):
        monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.setitem(sys.modules, name, None)  # type: ignore[arg-type]  # restored, then removed
        monkeypatch.delitem(sys.modules, name)
    return tmp_path / "user_nets.py"


def test_a_module_is_taken_as_it_is() -> None:
    net = nn.Sequential(nn.Dropout()).train()
    loaded = load_model(nn.DataParallel(net))
    assert loaded.module is net
    assert not net[0].training
    assert loaded.name == "Sequential"
    assert loaded.preprocessing == IMAGENET
    assert "the model states none" in loaded.preprocessing.source
    assert loaded.weights_digest == weights_digest(net)


def test_a_function_in_a_file(code: Path) -> None:
    path_before, generator = list(sys.path), torch.get_rng_state()
    first, again, other = (load_model(f"{code}:build", seed=seed) for seed in (0, 0, 1))
    assert first.weights_digest == again.weights_digest != other.weights_digest
    assert first.module.conv.out_channels == 5
    assert not first.module.training
    assert first.name == f"{code}:build"
    assert load_model(f"{code}:with_pixels").preprocessing.size == (32, 48)
    own = Preprocessing((0, 0, 0), (2, 2, 2))
    assert load_model(f"{code}:with_pixels", preprocessing=own).preprocessing is own
    assert isinstance(load_model(f"{code}:imports_late").module, nn.Module)
    assert isinstance(load_model(f"{code}:ready").module, nn.ReLU)
    assert sys.path == path_before
    assert torch.equal(torch.get_rng_state(), generator)


def test_a_function_in_a_module(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(code.parent))
    assert load_model("user_nets:Net").module.conv.out_channels == 5
    assert isinstance(load_model("torch.nn:ReLU").module, nn.ReLU)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bild", "has no 'bild'; nearest: build"),
        ("breaks", "got OSError: no disk"),
        ("gives_a_number", "to be returned, got int"),
        ("number", "function, class or nn.Module, got int"),
        ("", "expected 'path/to/file.py:function'"),
    ],
)
def test_code_that_gives_no_network(code: Path, name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load_model(f"{code}:{name}")


def test_files_that_are_not_there_or_do_not_run(tmp_path: Path) -> None:
    (tmp_path / "resnet.py").write_text("raise RuntimeError('half written')")
    (tmp_path / "needs.py").write_text("import a_package_that_nobody_has")
    with pytest.raises(ModelError, match=r"there is none; nearest: resnet.py"):
        load_model(f"{tmp_path}/resnets.py:f")
    with pytest.raises(ModelError, match="RuntimeError: half written"):
        load_model(f"{tmp_path}/resnet.py:f")
    with pytest.raises(ModelError, match="a_package_that_nobody_has"):
        load_model(f"{tmp_path}/needs.py:f")
    assert "fastdissect_model_resnet" not in sys.modules


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("builtin:shape", "nearest: shapes"),
        ("builtin:", "expected a name after the colon"),
        ("buildin:shapes", "nearest: builtin:"),
        ("torchvison:resnet18", "nearest: torchvision:"),
        ("resnet18", "a model is an nn.Module or one of builtin:shapes"),
        ("timm:resnet18?weight=none", re.escape("expected '?weights=...'")),
        ("no_such_package.nets:build", "no_such_package"),
        ("", "a model is an nn.Module or one of"),
    ],
)
def test_unknown_names(spec: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load_model(spec)


def test_something_else_is_no_model() -> None:
    with pytest.raises(ModelError, match=r"nn\.Module or a name, got int"):
        load_model(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("library", ["torchvision", "timm", "transformers"])
def test_a_missing_library_is_advice(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)  # type: ignore[arg-type]  # the import system's "not there"
    with pytest.raises(ModelError, match=rf"{library} is not installed; pip install 'fastdissect\["):
        load_model(f"{library}:resnet18")


def test_a_torchvision_for_another_torch_is_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModelError, match=rf"built for another torch than {re.escape(torch.__version__)}"):
        load_model("torchvision:resnet18")


def test_the_digest_sees_what_counts() -> None:
    def net(**kwargs: object) -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(2, 3, 3, **kwargs), nn.BatchNorm2d(3))  # type: ignore[arg-type]

    digest = weights_digest(net())
    assert len(digest) == 32
    assert digest == weights_digest(net()) == weights_digest(nn.DataParallel(net()))
    assert digest == weights_digest(net().to(memory_format=torch.channels_last))
    others = {weights_digest(net(stride=2)), weights_digest(net().bfloat16()), weights_digest(net().half())}
    changed = net()
    changed[1].running_mean[2] += 1e-3  # a buffer
    others.add(weights_digest(changed))
    assert len(others | {digest}) == 5


def test_the_digest_does_not_see_addresses() -> None:
    class Shows(nn.Module):
        def extra_repr(self) -> str:
            return repr(object())

    first, second = Shows(), Shows()
    assert weights_digest(first) == weights_digest(second)


def test_weights_that_are_not_there() -> None:
    with torch.device("meta"), pytest.raises(ModelError, match="device 'meta'"):
        load_model(nn.Linear(2, 2))


class Carrier(nn.Module):
    """A network with the attributes that libraries attach."""

    def __init__(self, **attributes: object) -> None:
        super().__init__()
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, x: Tensor) -> Tensor:
        return x


class Fields:
    def __init__(self, **fields: object) -> None:
        self.__dict__.update(fields)


TIMM = {
    "mean": (0.5, 0.4, 0.3),
    "std": (0.2, 0.2, 0.1),
    "input_size": (3, 96, 128),
    "interpolation": "bicubic",
}


@pytest.mark.parametrize("attribute", ["pretrained_cfg", "default_cfg"])
@pytest.mark.parametrize("wrap", [dict, lambda d: Fields(**d)])
def test_preprocessing_from_timm(attribute: str, wrap: object) -> None:
    found = load_model(Carrier(**{attribute: wrap(TIMM)})).preprocessing  # type: ignore[operator]
    expected = Preprocessing(TIMM["mean"], TIMM["std"], (96, 128), "bicubic", f"the model's {attribute}")  # type: ignore[arg-type]
    assert found == expected


@pytest.mark.parametrize(
    ("fields", "size", "interpolation"),
    [
        ({"size": 224}, (224, 224), "bilinear"),
        ({"size": {"height": 32, "width": 48}, "resample": 3}, (32, 48), "bicubic"),
        ({"size": {"shortest_edge": 256}, "resample": 0}, (256, 256), "nearest"),
        ({"size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": 224}, (224, 224), "bilinear"),
        ({"size": Fields(height=None, width=None, shortest_edge=96)}, (96, 96), "bilinear"),
        ({}, None, "bilinear"),
    ],
)
def test_preprocessing_from_an_image_processor(
    fields: dict[str, object], size: tuple[int, int] | None, interpolation: str
) -> None:
    processor = Fields(image_mean=[0.1, 0.2, 0.3], image_std=[0.4, 0.5, 0.6], **fields)
    found = load_model(Carrier(image_processor=processor)).preprocessing
    assert (found.mean, found.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert (found.size, found.interpolation) == (size, interpolation)


def test_preprocessing_from_a_folder(tmp_path: Path) -> None:
    config = Fields(_name_or_path=str(tmp_path), image_size=64)
    assert load_model(Carrier(config=config)).preprocessing.size == (64, 64)
    file = tmp_path / "preprocessor_config.json"
    file.write_text('{"image_mean": [0, 0, 0], "image_std": [1, 1, 2], "size": 32, "do_normalize": true}')
    found = load_model(Carrier(config=config)).preprocessing
    assert (found.std, found.size, found.source) == ((1, 1, 2), (32, 32), file.name)
    file.write_text('{"image_mean": [0, 0')
    with pytest.raises(ModelError, match=r"preprocessor_config.json: expected a JSON file"):
        load_model(Carrier(config=config))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mean": (0, 0)}, "mean: expected three numbers"),
        ({"std": (1, 0, 1)}, "above 0"),
        ({"size": (0, 3)}, "height, width"),
        ({"size": (3, 4, 5)}, "height, width"),
        ({"interpolation": "lanczos"}, "'lanczos'"),
    ],
)
def test_preprocessing_is_checked(fields: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        Preprocessing(**{"mean": (0, 0, 0), "std": (1, 1, 1), **fields})  # type: ignore[arg-type]
