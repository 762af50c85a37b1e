"""Options of the forward pass: mixed precision, compiled, channels last; and the device that it takes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from cli_cases import DATA, call, failure, write_net
from dissect_cases import LAYERS, PLAIN, Net, as_dense, assert_is, dissect_plainly, gather, same_results
from killing import small_run
from torch import nn

import fastdissect as fd
from fastdissect import compiled_forward
from fastdissect.activations import LayerHooks, forward_device
from fastdissect.datasets import open_dataset
from fastdissect.errors import BackendError, OutputError, SettingError
from fastdissect.forward_options import ForwardOptions, checked_forward, in_channels_last
from fastdissect.settings import checked_device
from fastdissect.types import ActivationView

CPU, SIZE = torch.device("cpu"), 48
AS_IS = {"dtype": None, "compile": False, "channels last": False}


class Offset(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.linspace(0, 1, 6).view(1, 6, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.offset


def mixed() -> nn.Sequential:
    """A convolution, which autocast takes in 16 bits, and a sum with float32, which is float32."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 4, stride=4), Offset())


def run(model: Any, layers: Any, **options: Any) -> Any:
    defaults = {"preprocessing": PLAIN, "cache": None, "workers": 0, "batch_size": 16, "progress": False}
    data = open_dataset(f"shapes:images=40,size={SIZE}")
    return fd.dissect(model, data, layers, **{**defaults, "quantile": 0.05, **options})


def collect(hooks: LayerHooks, images: torch.Tensor) -> dict[str, ActivationView]:
    """{layer: a copy of what was handed on}, in the order of the calls."""
    found: dict[str, ActivationView] = {}
    hooks.run(images, lambda name, view: found.__setitem__(name, view._replace(data=view.data.copy())))
    return found


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[str]]]:
    """What is compiled: the operations of each graph; nothing is generated, the graphs are run as they are."""
    seen: list[list[str]] = []

    def compiler(graph: torch.fx.GraphModule, _inputs: Any) -> Callable[..., Any]:
        seen.append([str(node.target.__name__) for node in graph.graph.nodes if node.op == "call_function"])  # type: ignore[union-attr]
        return graph.forward

    monkeypatch.setattr(compiled_forward, "COMPILER", compiler)
    yield seen
    torch.compiler.reset()  # type: ignore[no-untyped-call]


# mixed precision


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_mixed_precision_is_autocast_in_probe_and_run(dtype: str) -> None:
    net, images = mixed().eval(), torch.randn(3, 3, 16, 16)
    hooks = LayerHooks(net, ("0", "1"), options=checked_forward(net, CPU, dtype=dtype))
    assert {name: view.kind for name, view in hooks.probe(images[:1]).items()} == {"0": dtype, "1": "float32"}
    found = collect(hooks, images)
    assert {name: view.kind for name, view in found.items()} == {"0": dtype, "1": "float32"}
    with torch.inference_mode(), torch.autocast("cpu", getattr(torch, dtype)):
        expected = net[0](images), net(images)
    assert found["0"].data.tobytes() == expected[0].view(torch.int16).numpy().tobytes()
    assert found["1"].data.tobytes() == expected[1].numpy().tobytes()


def test_a_dissection_in_mixed_precision_is_that_of_its_activations() -> None:
    net = Net().eval()
    found = run(net, LAYERS, dtype="bfloat16")
    data = open_dataset(f"shapes:images=40,size={SIZE}")
    with torch.autocast("cpu", torch.bfloat16):
        tensors = gather(net, data, LAYERS, 16, (SIZE, SIZE))
    for layer in LAYERS:
        assert tensors[layer].dtype is torch.bfloat16
        plain = dissect_plainly(as_dense(tensors[layer]), data, found.profile, found[layer].upsampling)
        assert_is(found[layer], plain)
    assert found.run["forward"]["dtype"] == found.run["key"]["forward"]["dtype"] == "bfloat16"
    for passes in (2, 3):
        same_results(run(net, LAYERS, dtype="bfloat16", passes=passes), found)


def test_a_surrounding_autocast_counts_and_is_recorded() -> None:
    net = Net().eval()
    plain = run(net, "first")
    assert {name: plain.run["forward"][name] for name in AS_IS} == AS_IS
    with torch.autocast("cpu", torch.bfloat16):
        surrounded, as_is = run(net, "first"), run(net, "first", dtype="float32")
    same_results(surrounded, run(net, "first", dtype="bfloat16"))
    same_results(as_is, plain)
    assert (surrounded.run["forward"]["dtype"], as_is.run["forward"]["dtype"]) == ("bfloat16", "float32")


def test_float32_is_a_promise_not_a_conversion() -> None:
    net = Net().eval()
    same_results(run(net, LAYERS, dtype="float32"), run(net, LAYERS))
    net.third.half()
    with pytest.raises(
        SettingError, match=r"got third\.1\.weight in float16; call \.float\(\) on the network"
    ):
        checked_forward(net, CPU, dtype="float32")
    assert checked_forward(net, CPU) == ForwardOptions()


def test_options_that_there_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net().eval()
    for dtype in ("float64", "bf16", "", torch.bfloat16):
        with pytest.raises(
            SettingError, match=r"expected dtype to be one of float32, bfloat16, float16, or None"
        ):
            checked_forward(net, CPU, dtype=dtype)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="expected compile to be True or False; got 'inductor'"):
        run(net, "first", compile="inductor")
    with pytest.raises(SettingError, match="expected channels_last to be True or False; got 1"):
        run(net, "first", channels_last=1)

    def refusing(*_: Any, **__: Any) -> Any:
        raise RuntimeError("Current CUDA Device does not support bfloat16. Please switch dtype.\nmore")

    monkeypatch.setattr(torch, "autocast", refusing)
    with pytest.raises(
        SettingError, match=r"got 'bfloat16': Current CUDA Device .*switch dtype\.; leave dtype"
    ):
        checked_forward(net, CPU, dtype="bfloat16")


def test_a_dtype_that_torch_switches_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some torches warn and go on in float32."""
    from contextlib import nullcontext

    monkeypatch.setattr(torch, "autocast", lambda *_: nullcontext())
    with pytest.raises(SettingError, match="got 'float16': torch switches it off there; leave dtype out"):
        checked_forward(Net(), CPU, dtype="float16")


# channels last


def test_channels_last_is_read_in_place_and_undone() -> None:
    given: list[torch.Tensor] = []
    net = Net().eval()
    before = [(p.stride(), p.detach().clone()) for p in net.parameters()]
    handle = net.first.register_forward_hook(lambda m, a, output: given.extend((a[0], output)))
    options = ForwardOptions(channels_last=True)

    def same(_name: str, view: ActivationView) -> None:
        assert view.data.__array_interface__["data"][0] == given[-1].data_ptr()
        assert view.data.strides[1] == view.data.itemsize  # units are neighbours

    with in_channels_last(net, options):
        assert net.first[0].weight.is_contiguous(memory_format=torch.channels_last)
        LayerHooks(net, ("first",), options=options).run(torch.randn(2, 3, 16, 16), same)
    handle.remove()
    assert [tensor.is_contiguous(memory_format=torch.channels_last) for tensor in given] == [True, True]
    for parameter, (stride, value) in zip(net.parameters(), before, strict=True):
        assert parameter.stride() == stride
        assert torch.equal(parameter, value)


def test_channels_last_changes_whole_numbers_in_nothing() -> None:
    """Sums of whole numbers are exact in any order."""
    net = nn.Sequential(nn.Conv2d(3, 6, 4, stride=4, bias=False), nn.ReLU()).eval()
    generator = torch.Generator().manual_seed(0)
    net[0].weight.data = torch.randint(-3, 4, net[0].weight.shape, generator=generator).float()  # type: ignore[union-attr]
    found = run(net, "1", channels_last=True)
    same_results(found, run(net, "1"))
    assert found.run["forward"] | {"channels last": True} == found.run["forward"]
    assert net[0].weight.is_contiguous()  # type: ignore[union-attr]


def test_the_weights_come_back_after_an_error() -> None:
    net = Net().eval()
    odd = net.second[0].weight
    odd.data = odd.data.permute(1, 0, 2, 3).contiguous().permute(1, 0, 2, 3)
    stride = odd.stride()
    net.register_buffer("expanded", torch.ones(1, 1, 1, 1).expand(2, 3, 4, 5))

    def broken() -> None:
        with in_channels_last(net, ForwardOptions(channels_last=True)):
            assert odd.is_contiguous(memory_format=torch.channels_last)
            raise RuntimeError("planted")

    with pytest.raises(RuntimeError, match="planted"):
        broken()
    assert odd.stride() == stride
    assert net.first[0].weight.is_contiguous()
    assert net.expanded.is_contiguous()


# compiled


class Counted(nn.Module):
    """Counts how often it is really run, compiled or not."""

    def __init__(self) -> None:
        super().__init__()
        self.count: list[int] = []

    @torch.compiler.disable  # type: ignore[misc]
    def note(self) -> None:
        self.count.append(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.note()
        return x + 1


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm, self.relu = (
            nn.Conv2d(8, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(True),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.relu(self.norm(self.convolution(x)) + x)
        return out


class Staged(nn.Module):
    """A stem written out, stages, a method called in between as torchvision's ResNet has it, and a tail."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.relu = nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(inplace=True)
        self.one, self.two = nn.Sequential(Block(), Block()), nn.Sequential(Block())
        self.tail = Counted()

    def body(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.stem(x))
        return self.two(self.one(x)).sin_()  # type: ignore[no-any-return]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.tail(self.body(x))
        return out


class Looped(nn.Module):
    """Blocks in a loop, as transformers' encoders have them: torch cannot cut a graph there."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.blocks = nn.Conv2d(3, 8, 3, stride=2), nn.ModuleList(Block() for _ in range(3))
        self.tail = Counted()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).cos()
        for block in self.blocks:
            x = block(x)
        out: torch.Tensor = self.tail(x)
        return out


def plain_chain() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(inplace=True), Counted())


CUTS: list[tuple[Callable[[], nn.Module], tuple[str, ...]]] = [
    (Staged, ("one", "two")),
    (Staged, ("stem", "one.1.norm", "two.0")),
    (Staged, ("one.0.convolution", "one.1.relu")),  # the same code, cut at different places
    (Looped, ("blocks.1", "blocks.2.norm")),
    (plain_chain, ("0", "3")),
    (plain_chain, ("2",)),
]


@pytest.mark.parametrize(("make", "layers"), CUTS)
def test_compiled_layers_are_met_once_and_the_pass_stops(
    graphs: list[list[str]], make: Callable[[], nn.Module], layers: tuple[str, ...]
) -> None:
    net = make().eval()
    tail = next(m for m in net.modules() if isinstance(m, Counted))
    plain = LayerHooks(net, layers)
    hooks = LayerHooks(net, layers, options=ForwardOptions(compile=True))
    assert list(hooks.probe(torch.zeros(1, 3, 16, 16))) == list(plain.probe(torch.zeros(1, 3, 16, 16)))
    assert not graphs  # the probe is not compiled
    tail.count.clear()
    compiled = []
    for images in (torch.randn(n, 3, 16, 16) for n in (4, 2, 4)):
        expected, found = collect(plain, images), collect(hooks, images)
        assert list(found) == list(expected)
        for name in expected:
            np.testing.assert_array_equal(found[name].data, expected[name].data)
        for name in layers[:1]:  # a later pass, for some of the layers: the same graphs
            np.testing.assert_array_equal(
                collect(hooks.only((name,)), images)[name].data, expected[name].data
            )
        compiled.append(len(graphs))
    assert not tail.count
    assert 0 < compiled[0] < compiled[1] == compiled[2] == 2 * compiled[0]  # once a batch size
    assert not any("forward" in module.__dict__ or module._forward_hooks for module in net.modules())


def test_between_the_layers_all_is_one_graph(graphs: list[list[str]]) -> None:
    net, block = Staged().eval(), ["conv2d", "batch_norm", "add", "relu"]
    both = [["conv2d", "relu"], [*block, *block], block]
    for layers, needed, expected in (
        (("one", "two"), ("one", "two"), both),
        (("two",), ("two",), [["conv2d", "relu", *block, *block], block]),  # no cut is left of the run before
        (("one", "two"), ("two",), both),  # a run that goes on in a later pass cuts where the first pass did
    ):
        hooks = LayerHooks(net, layers, options=ForwardOptions(compile=True))
        hooks.probe(torch.zeros(1, 3, 16, 16))
        for images in (2, 3, 4):  # each of its own shape: none rests on a batch before it
            graphs.clear()
            collect(hooks.only(needed), torch.zeros(images, 3, 16, 16))
            assert graphs == expected


def test_many_layers_of_one_kind_are_all_compiled(graphs: list[list[str]]) -> None:
    """More versions of one function than the eight after which torch would leave the rest as they are."""
    torch.manual_seed(0)
    net = nn.Sequential(*(nn.Sequential(nn.Conv2d(3, 3, 2 * k + 1, padding=k), nn.ReLU()) for k in range(12)))
    hooks = LayerHooks(net.eval(), tuple(map(str, range(12))), options=ForwardOptions(compile=True))
    hooks.probe(torch.zeros(1, 3, 8, 8))
    collect(hooks, torch.zeros(2, 3, 8, 8))
    assert graphs == [["conv2d", "relu"]] * 12


def test_nothing_stays_on_the_network_after_an_error(graphs: list[list[str]]) -> None:
    def broken(_name: str, _view: ActivationView) -> None:
        raise ValueError("planted")

    net = Staged().eval()
    hooks = LayerHooks(net, ("one",), options=ForwardOptions(compile=True))
    with pytest.raises(ValueError, match="planted"):
        hooks.run(torch.zeros(2, 3, 16, 16), broken)
    assert graphs
    assert not any("forward" in module.__dict__ or module._forward_hooks for module in net.modules())


def test_a_forward_that_its_owner_replaced_is_left_to_him(
    graphs: list[list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    net = Staged().eval()
    own = net.one.forward
    net.one.forward = lambda x: own(x) * 2  # type: ignore[method-assign]
    mine = net.one.__dict__["forward"]
    plain = LayerHooks(net, ("one.0", "one"))
    with caplog.at_level(logging.WARNING, "fastdissect"):
        hooks = LayerHooks(net, ("one.0", "one"), options=ForwardOptions(compile=True))
    assert "Sequential is run as it is, not compiled: its forward was replaced" in caplog.text
    images = torch.randn(2, 3, 16, 16)
    expected, found = collect(plain, images), collect(hooks, images)
    for name in ("one.0", "one"):
        np.testing.assert_array_equal(found[name].data, expected[name].data)
    assert net.one.__dict__["forward"] is mine


def test_one_pass_and_more_agree_compiled(graphs: list[list[str]]) -> None:
    net = Net().eval()
    found = run(net, ("first", "second"), compile=True)
    assert graphs
    assert found.run["forward"]["compile"] is True
    same_results(found, run(net, ("first", "second")))  # this compiler changes no arithmetic
    for passes in (2, 3):
        same_results(run(net, ("first", "second"), compile=True, passes=passes), found)


def test_a_compiler_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def compiler(*_: Any) -> Any:
        raise FileNotFoundError("no g++\nand a page of log")

    monkeypatch.setattr(compiled_forward, "COMPILER", compiler)
    with pytest.raises(
        BackendError, match=r"torch\.compile failed: FileNotFoundError: no g\+\+; run without"
    ) as info:
        run(Net().eval(), "first", compile=True)
    assert "\n" not in str(info.value)
    monkeypatch.setattr(
        torch, "compile", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("not on Python 4"))
    )
    with pytest.raises(BackendError, match="RuntimeError: not on Python 4; run without --compile"):
        run(Net().eval(), "first", compile=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's own
@pytest.mark.parametrize("dtype", [None, "bfloat16"])
def test_with_the_compiler_of_torch(dtype: str | None) -> None:
    """Another arithmetic than uncompiled, but the same in one pass and in two."""
    net = Net().eval()
    options = {"compile": True, "dtype": dtype, "channels_last": dtype is None}
    one = run(net, LAYERS, **options)
    same_results(one, run(net, LAYERS, passes=2, **options))
    uncompiled = run(net, LAYERS, dtype=dtype)
    tolerance = 1e-4 if dtype is None else 0.1
    for layer in LAYERS:
        assert one[layer].activations.kind == uncompiled[layer].activations.kind
        np.testing.assert_allclose(
            one[layer].maxima, uncompiled[layer].maxima, rtol=tolerance, atol=tolerance
        )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's own
def test_without_a_cpp_compiler() -> None:
    from torch._inductor import config

    with (
        config.patch({"cpp.cxx": ("/nowhere/g++",), "fx_graph_cache": False}),
        pytest.raises(BackendError, match=r"No working C\+\+ compiler.*; run without --compile"),
    ):
        LayerHooks(Staged().eval(), ("one",), options=ForwardOptions(compile=True)).run(
            torch.zeros(2, 3, 18, 18), lambda *_: None
        )


# runs that go on


@pytest.mark.parametrize("finished", [True, False])
def test_other_options_are_another_run(
    tmp_path: Path, finished: bool, monkeypatch: pytest.MonkeyPatch, graphs: list[list[str]]
) -> None:
    out = tmp_path / "out"
    if finished:
        small_run(out, channels_last=True)
    else:
        from fastdissect.running import Run

        with monkeypatch.context() as patch:
            patch.setattr(Run, "conclude", lambda self: (_ for _ in ()).throw(RuntimeError("planted")))
            with pytest.raises(RuntimeError, match="planted"):
                small_run(out, channels_last=True)
    for other in ({}, {"dtype": "bfloat16", "channels_last": True}, {"compile": True, "channels_last": True}):
        with pytest.raises(
            OutputError, match=r"it differs in forward: .*'channels last': True.* then, .* now\. C"
        ):
            small_run(out, **other)
    assert small_run(out, channels_last=True).run["forward"]["channels last"] is True


def test_the_key_holds_torchs_switches_where_they_count(monkeypatch: pytest.MonkeyPatch) -> None:
    options, cuda = ForwardOptions(), torch.device("cuda")
    assert options.key(CPU) == AS_IS
    matmul = SimpleNamespace(allow_tf32=False)
    cudnn = SimpleNamespace(allow_tf32=True, benchmark=True)
    monkeypatch.setattr(torch.backends.cuda, "matmul", matmul)
    monkeypatch.setattr(torch.backends, "cudnn", cudnn)
    assert options.key(cuda) == {**AS_IS, "tf32": {"matmul": False, "cudnn": True}}
    matmul.fp32_precision, cudnn.conv = "tf32", SimpleNamespace(fp32_precision="ieee")  # torch 2.9 and later
    assert options.key(cuda)["tf32"] == {"matmul": "tf32", "cudnn": "ieee"}
    assert options.record(cuda)["cudnn benchmark"] is True
    torch.use_deterministic_algorithms(True)
    try:
        assert options.record(CPU)["deterministic algorithms"] is True
    finally:
        torch.use_deterministic_algorithms(False)


def test_on_the_command_line(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = (
        "run",
        f"{write_net(tmp_path)}:build",
        DATA,
        "-l",
        "1",
        "-o",
        out,
        "--cache",
        "none",
        "--no-report",
    )
    first = call(*command, "--dtype", "bfloat16", "--channels-last")
    assert first.exit_code == 0, first.output
    record = fd.load(out).run
    assert (
        record["forward"] | {"dtype": "bfloat16", "channels last": True, "compile": False}
        == record["forward"]
    )
    assert call(*command, "--dtype", "bfloat16", "--channels-last").exit_code == 0
    assert "; forward pass: bfloat16, channels last\n" in call("show", out).output
    assert "it differs in forward" in failure(call(*command, "--dtype", "float16", "--channels-last"))
    wrong = call(*command, "--dtype", "int8")
    assert wrong.exit_code == 2
    assert "expected float32, bfloat16 or float16" in " ".join(wrong.stderr.replace("│", " ").split())


# devices


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """gpu(problem): torch sees a GPU, our kernels have this problem with it."""

    def seen(problem: str | None) -> None:
        module = SimpleNamespace(cuda_problem=lambda: problem)
        monkeypatch.setitem(sys.modules, "fastdissect.kernels.cuda.problem", module)  # type: ignore[arg-type]
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch, "zeros", lambda *_, **__: None)
        monkeypatch.delenv("FASTDISSECT_BACKEND", raising=False)

    return seen


def test_auto_takes_a_gpu_on_which_the_kernels_run(
    gpu: Callable[[str | None], None], caplog: pytest.LogCaptureFixture
) -> None:
    gpu(None)
    assert checked_device("auto") == forward_device("auto") == torch.device("cuda")
    assert not caplog.records
    gpu("CuPy is not installed: pip install fastdissect[cuda12]")
    with caplog.at_level(logging.WARNING, "fastdissect"):
        assert checked_device("auto") == CPU
    assert [r.message for r in caplog.records] == [
        "the GPU is left idle, the CPU does all: CuPy is not installed: pip install fastdissect[cuda12]"
    ]


def test_a_gpu_that_was_asked_for(
    gpu: Callable[[str | None], None], force_backend: Callable[[str], None]
) -> None:
    gpu(None)
    assert checked_device("cuda:1") == torch.device("cuda:1")
    gpu("CuPy is not installed")
    for device in ("cuda", "cuda:1"):
        with pytest.raises(
            BackendError, match=rf"device '{device}': .*: CuPy is not installed; FASTDISSECT_BACKEND="
        ):
            checked_device(device)
    force_backend("numba")
    assert checked_device("cuda:1") == torch.device("cuda:1")
    force_backend("cuda")
    with pytest.raises(BackendError, match="CuPy is not installed"):
        checked_device("cuda")
    assert checked_device("cpu") == CPU
