"""Checkpoints: what training scripts write is read, what is not this network's is refused, nothing is run."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from fastdissect.errors import ModelError
from fastdissect.models import load_model, weights_digest
from fastdissect.models.checkpoints import load_checkpoint, read_checkpoint

CODE = """
from torch import nn
def build():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
ready = build()
"""


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    net[1].running_mean += torch.randn(4)
    return net


def equal(one: nn.Module, two: nn.Module) -> bool:
    return weights_digest(one) == weights_digest(two)


def prefixed(state: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {prefix + name: value for name, value in state.items()}


WRITTEN = {
    "plain": lambda s: s,
    "state_dict": lambda s: {"state_dict": s, "epoch": 3, "optimizer": {"lr": 0.1}},
    "model_state_dict": lambda s: {"model_state_dict": s, "loss": torch.tensor(0.5)},
    "model": lambda s: {"model": s, "step": torch.tensor(70)},
    "parallel": lambda s: prefixed(s, "module."),
    "compiled": lambda s: prefixed(s, "_orig_mod."),
    "both": lambda s: prefixed(s, "module._orig_mod."),
    "other way": lambda s: {"model": prefixed(s, "_orig_mod.module.")},
    "compiled inside": lambda s: {n.replace("0.", "0._orig_mod."): v for n, v in s.items()},
}


@pytest.mark.parametrize("form", WRITTEN)
@pytest.mark.parametrize("ending", ["pt", "pth", "ckpt", "bin", "safetensors"])
def test_what_training_scripts_write(form: str, ending: str, tmp_path: Path) -> None:
    trained, fresh = network(1), network(2)
    content = WRITTEN[form](trained.state_dict())
    if ending == "safetensors":
        if not all(isinstance(value, torch.Tensor) for value in content.values()):
            pytest.skip("safetensors holds tensors alone")
        save_file(dict(content), tmp_path / "file.safetensors")
    else:
        torch.save(content, tmp_path / f"file.{ending}")
    assert not equal(trained, fresh)
    load_checkpoint(fresh, tmp_path / f"file.{ending}")
    assert equal(trained, fresh)


def test_a_wrapped_network_takes_them_too(tmp_path: Path) -> None:
    trained = network(1)
    torch.save(trained.state_dict(), tmp_path / "a.pt")
    wrapped = nn.DataParallel(network(2))
    load_checkpoint(wrapped, tmp_path / "a.pt")
    assert equal(wrapped, trained)
    partly = network(3)
    compiled = nn.Module()  # as torch.compile wraps a part of a network
    compiled._orig_mod = partly[0]
    partly[0] = compiled
    assert any("_orig_mod" in name for name in partly.state_dict())
    load_checkpoint(partly, tmp_path / "a.pt")
    assert torch.equal(partly.state_dict()["0._orig_mod.weight"], trained[0].weight)


def test_a_network_with_a_child_named_module(tmp_path: Path) -> None:
    def build(seed: int) -> nn.Module:
        net = nn.Module()
        net.module, net.head = network(seed), nn.Linear(4, 2)
        return net

    torch.save(build(1).state_dict(), tmp_path / "a.pt")
    torch.save(prefixed(build(1).state_dict(), "module."), tmp_path / "b.pt")
    for name in ("a.pt", "b.pt"):
        fresh = build(2)
        load_checkpoint(fresh, tmp_path / name)
        assert torch.equal(fresh.module[0].weight, build(1).module[0].weight)


def test_the_versions_beside_the_names_are_kept(tmp_path: Path) -> None:
    """A batch norm of today that lacks its counter is incomplete; one from before torch 0.4.1 never had it."""
    state = nn.DataParallel(network(1)).state_dict()
    del state["module.1.num_batches_tracked"]
    torch.save(state, tmp_path / "today.pt")
    assert read_checkpoint(tmp_path / "today.pt").state._metadata["1"] == {"version": 2}  # type: ignore[attr-defined]
    with pytest.raises(ModelError, match=r"missing 1: 1\.num_batches_tracked; unexpected 0;"):
        load_checkpoint(network(), tmp_path / "today.pt")
    state._metadata["module.1"] = {"version": 1}
    torch.save(state, tmp_path / "old.pt")
    load_checkpoint(network(), tmp_path / "old.pt")


def test_steps_that_the_file_states(tmp_path: Path) -> None:
    state = network().state_dict()
    torch.save({"model": state, "step": torch.tensor(70), "epoch": 2, "iteration": "x"}, tmp_path / "a.pt")
    found = read_checkpoint(tmp_path / "a.pt")
    assert (found.entry, dict(found.steps)) == ("model", {"step": 70.0, "epoch": 2.0})
    torch.save(state, tmp_path / "b.pt")
    assert read_checkpoint(tmp_path / "b.pt").steps == {}


def test_names_that_do_not_fit(tmp_path: Path) -> None:
    state = {**prefixed(network().state_dict(), "net."), "a": torch.zeros(1)}
    torch.save(state, tmp_path / "a.pt")
    with pytest.raises(ModelError) as error:
        load_checkpoint(network(), tmp_path / "a.pt")
    assert "missing 6: 0.weight, 0.bias, 1.weight, 1.bias, ...; unexpected 8: net.0.weight" in str(
        error.value
    )


def test_shapes_and_types_that_do_not_fit(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.save(nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5)).state_dict(), tmp_path / "wide.pt")
    with pytest.raises(ModelError, match=r"shapes; got: .*0\.weight.*\[5, 3, 3, 3\]"):
        load_checkpoint(network(), tmp_path / "wide.pt")
    torch.save(network(1).double().state_dict(), tmp_path / "double.pt")
    torch.save(network(1).half().state_dict(), tmp_path / "half.pt")
    with caplog.at_level(logging.WARNING, "fastdissect"):
        load_checkpoint(network(), tmp_path / "half.pt")
        assert not caplog.records  # float16 to float32 is exact
        load_checkpoint(network(), tmp_path / "double.pt")
    assert "rounded 6: 0.weight" in caplog.text
    whole = {n: v.cfloat() if n == "0.bias" else v for n, v in network().state_dict().items()}
    torch.save(whole, tmp_path / "complex.pt")
    with pytest.raises(ModelError, match=r"0\.bias: expected torch\.float32; got torch\.complex64"):
        load_checkpoint(network(), tmp_path / "complex.pt")


class Hostile:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_hostile_pickle_is_refused_and_not_run(legacy: bool, tmp_path: Path) -> None:
    mark = tmp_path / "it ran"
    content = {"state_dict": network().state_dict(), "more": Hostile(mark)}
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ModelError, match="could run code; got: Unsupported"):
        load_checkpoint(network(), tmp_path / "a.pt")
    assert not mark.exists()
    torch.load(tmp_path / "a.pt", weights_only=False)  # the test's own pickle does what it says
    assert mark.exists()


def test_a_whole_module_is_refused(tmp_path: Path) -> None:
    torch.save(network(), tmp_path / "a.pt")
    with pytest.raises(ModelError, match=r"save the weights again: torch\.save"):
        read_checkpoint(tmp_path / "a.pt")


def test_files_that_are_no_checkpoints(tmp_path: Path) -> None:
    state = network().state_dict()
    for name in ("text.pt", "text.safetensors", "notes.txt", "none"):
        (tmp_path / name).write_text("hello")
    (tmp_path / "empty.pt").touch()
    torch.save(state, tmp_path / "whole.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "whole.pt").read_bytes()[:-700])
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save({"weights": state, "lr": 0.1}, tmp_path / "elsewhere.pt")
    torch.save({"model": state, "state_dict": state}, tmp_path / "two.pt")
    torch.save({"a._orig_mod.w": torch.ones(1), "a.w": torch.ones(1)}, tmp_path / "twice.pt")
    for name, message in {
        "gone.pt": "there is none at",
        "text.pt": "got: ",
        "text.safetensors": "expected a safetensors file",
        "empty.pt": "got: EOFError",
        "cut.pt": r"expected what torch\.save wrote",
        "notes.txt": r"ends in \.safetensors, .*; got '\.txt'",
        "none": "got 'no ending'",
        "list.pt": "expected a state dict; got list",
        "elsewhere.pt": "under 'state_dict', 'model_state_dict', 'model'; got entries 2: weights, lr",
        "two.pt": "it holds 'state_dict' and 'model'",
        "twice.pt": r"twice 1: a\.w",
    }.items():
        with pytest.raises(ModelError, match=message) as error:
            read_checkpoint(tmp_path / name)
        assert str(tmp_path / name) in str(error.value)


@pytest.fixture
def code(tmp_path: Path) -> str:
    (tmp_path / "nets.py").write_text(CODE)
    return str(tmp_path / "nets.py")


@pytest.mark.parametrize("file", ["a.pt", "a+b&c=d %41?e#.pt", "x:y.pt", "?weights=z.pt"])
def test_any_builder_takes_weights(code: str, file: str, tmp_path: Path) -> None:
    trained = network(1)
    torch.save(trained.state_dict(), tmp_path / file)
    spec = f"{code}:build?weights={tmp_path / file}"
    loaded = load_model(spec)
    assert equal(loaded.module, trained)
    assert loaded.name == spec
    assert not equal(load_model(f"{code}:build").module, trained)


def test_a_module_object_keeps_its_own_weights(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib

    torch.save(network(1).state_dict(), tmp_path / "a.pt")
    (tmp_path / "nets_with_object.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = weights_digest(importlib.import_module("nets_with_object").ready)
    assert load_model(f"nets_with_object:ready?weights={tmp_path / 'a.pt'}").weights_digest != before
    assert load_model("nets_with_object:ready").weights_digest == before


def test_the_built_in_network_takes_weights(tmp_path: Path) -> None:
    random = load_model("builtin:shapes-random", seed=3)
    torch.save({"state_dict": random.module.state_dict()}, tmp_path / "a.pth")
    for name in ("shapes", "shapes-random"):
        loaded = load_model(f"builtin:{name}?weights={tmp_path / 'a.pth'}")
        assert loaded.weights_digest == random.weights_digest
        assert loaded.preprocessing == random.preprocessing


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("builtin:shapes?weights=", re.escape("expected '?weights=...' after the name, got '?weights='")),
        ("builtin:shapes?weight=a.pt", re.escape("got '?weight=a.pt'")),
        ("builtin:shapes?weights=none", "builtin:shapes: expected a file of weights; there is none at none"),
        ("torchvision:?weights=a.pt", "expected a name after the colon"),
        ("builtin:shape?weights=a.pt", "nearest: shapes"),
    ],
)
def test_names_that_say_nothing(spec: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load_model(spec)


def test_a_step_that_no_float_holds_is_no_step(tmp_path: Path) -> None:
    path = tmp_path / "huge.pt"
    torch.save({"state_dict": {"weight": torch.zeros(1)}, "epoch": 10**400, "step": 7}, path)
    assert read_checkpoint(path).steps == {"step": 7.0}


@pytest.mark.parametrize("name", ["~nobody-of-this-name/x.pt", "x" * 400 + ".pt"])
def test_a_path_that_cannot_be_is_no_file(name: str) -> None:
    with pytest.raises(ModelError, match="there is none at"):
        read_checkpoint(name)
