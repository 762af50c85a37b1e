"""Arrays on a GPU are seen in place; where there is no GPU, CuPy and torch's CUDA tensors are played by stand-ins."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch
from cuda_on_host.facing import has_gpu
from cuda_on_host.fixture import Cupy
from cuda_on_host.tensors import on_cuda

from fastdissect.arrays import LAYOUTS, activation_view, host_array
from fastdissect.device_arrays import is_on_device, to_host, where
from fastdissect.errors import ActivationError
from fastdissect.kernels.keys import widen

SHAPES = {"NCHW": (2, 5, 3, 4), "NHWC": (2, 3, 4, 5), "NTC": (2, 12, 5)}


def tensor_of(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_cuda_tensors_are_viewed_in_place(cuda: Cupy, layout: str, dtype: torch.dtype) -> None:
    host = tensor_of(SHAPES[layout], dtype)
    tensor = on_cuda(host)
    view, expected = activation_view(tensor, layout), activation_view(host, layout)
    assert is_on_device(view.data)
    assert where(view.data) == "cuda:0"
    assert (view.kind, view.data.shape) == (expected.kind, expected.data.shape)
    assert view.data.strides == expected.data.strides
    assert view.data.data.ptr == tensor.data_ptr()
    np.testing.assert_array_equal(to_host(view.data), expected.data)


def test_strides_of_all_sorts_are_read_as_they_are(cuda: Cupy) -> None:
    base = tensor_of((4, 6, 5, 8), torch.float32)
    for host in (
        base[1:3, ::2, 1:, 3:5],
        base.to(memory_format=torch.channels_last),
        base.permute(0, 3, 1, 2),
        base[:, :1].expand(4, 7, 5, 8),
        base[:0],
        base[:, :, :0],
    ):
        view = activation_view(on_cuda(host))
        np.testing.assert_array_equal(to_host(view.data), host.numpy())


def test_the_view_keeps_the_tensor_alive(cuda: Cupy) -> None:
    view = activation_view(on_cuda(torch.full((1, 2, 3, 3), 7.0)))
    garbage = [torch.zeros(1, 2, 3, 3) for _ in range(50)]
    assert (to_host(view.data) == 7).all()
    del garbage


def test_cupy_arrays_are_taken_as_they_are(cuda: Cupy) -> None:
    array = cuda.asarray(np.arange(24, dtype=np.float16).reshape(1, 2, 3, 4))
    view = activation_view(array)
    assert view.kind == "float16"
    assert view.data.data.ptr == array.data.ptr
    np.testing.assert_array_equal(widen(to_host(view.data), view.kind), widen(to_host(array), view.kind))


def test_arrays_of_other_libraries_come_by_their_protocols(
    cuda: Cupy, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = cuda.asarray(np.ones((1, 2, 3, 3), np.float32))

    class Dlpack:
        def __dlpack_device__(self) -> tuple[int, int]:
            return 2, 0

    class Interface:
        __cuda_array_interface__ = {"shape": (1, 2, 3, 3)}  # noqa: RUF012

    class OnCpu:
        def __dlpack_device__(self) -> tuple[int, int]:
            return 1, 0

    taken: list[Any] = []
    monkeypatch.setattr(cuda, "from_dlpack", lambda a: taken.append(a) or inner)
    monkeypatch.setattr(cuda, "asarray", lambda a: taken.append(a) or inner)
    for array in (Dlpack(), Interface()):
        assert activation_view(array).data.data.ptr == inner.data.ptr
        assert taken[-1] is array
    with pytest.raises(ActivationError, match="got OnCpu"):
        activation_view(OnCpu())


def test_a_cuda_tensor_without_cupy_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)  # import cupy fails
    monkeypatch.setattr(torch.version, "cuda", "12.6")
    with pytest.raises(
        ActivationError, match=r'tensor on cuda:0.*pip install "fastdissect\[cuda12\]".*tensor.cpu'
    ):
        activation_view(on_cuda(torch.zeros(1, 2, 3, 3)))


def test_wrong_dtypes_on_a_device_name_the_remedy(cuda: Cupy) -> None:
    with pytest.raises(ActivationError, match=r"got float64; .*tensor.float\(\)"):
        activation_view(on_cuda(torch.zeros(1, 2, 3, 3, dtype=torch.float64)))
    with pytest.raises(ActivationError, match=r"got int32; .*cupy.float32"):
        activation_view(cuda.asarray(np.zeros((1, 2, 3, 3), np.int32)))


@pytest.mark.skipif(has_gpu(), reason="the stand-in is what is tested")
def test_a_device_array_never_becomes_a_numpy_array_by_itself(cuda: Cupy) -> None:
    with pytest.raises(TypeError, match="Implicit conversion"):
        np.asarray(cuda.zeros((2, 2), np.float32))


def test_strided_arrays_come_to_the_host_without_a_kernel_of_cupys(
    cuda: Cupy, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = cuda.ndarray.get

    def contiguous_alone(self: Any, *a: Any, **k: Any) -> Any:
        assert self.flags.c_contiguous, "CuPy gathers it with a kernel of its own"
        return get(self, *a, **k)

    if not has_gpu():
        monkeypatch.setattr(cuda.ndarray, "get", contiguous_alone)
    base = tensor_of((4, 6, 5, 8), torch.float32)
    for host in (
        base,
        base[1:3, ::2, 1:, 3:5],
        base.permute(3, 1, 0, 2),
        base[:, :1].expand(4, 7, 5, 8),
        base[:, :, :0].permute(0, 2, 1, 3),
        base[2],
        base.to(torch.bfloat16)[:, :, 1:4],
    ):
        expected = activation_view(host[None] if host.ndim == 3 else host)
        found = to_host(activation_view(on_cuda(host[None] if host.ndim == 3 else host)).data)
        assert found.dtype == expected.data.dtype
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(found, expected.data)
    numbers = np.arange(30, dtype=np.int32).reshape(5, 6)
    np.testing.assert_array_equal(to_host(cuda.asarray(numbers)[::-1, ::-2]), numbers[::-1, ::-2])


def test_small_arrays_of_any_library_come_to_the_host(cuda: Cupy) -> None:
    numbers = np.array([[1.5, -2.0], [0.25, 8.0]], np.float32)
    tensor = torch.from_numpy(numbers)
    for given in (
        numbers,
        numbers.tolist(),
        tensor,
        tensor.clone().requires_grad_(),
        tensor.bfloat16(),
        torch.complex(tensor, -tensor).conj().imag,
        on_cuda(tensor),
        on_cuda(tensor.bfloat16()),
        cuda.asarray(numbers),
        cuda.asarray(np.ascontiguousarray(numbers.T)).transpose(1, 0),
    ):
        found = host_array(given)
        assert type(found) is np.ndarray
        np.testing.assert_array_equal(found, numbers)


def test_a_tensor_that_is_negated_when_read_is_no_view(cuda: Cupy) -> None:
    tensor = torch.complex(torch.ones(1, 2, 3, 3), torch.ones(1, 2, 3, 3)).conj().imag
    for given in (tensor, on_cuda(tensor)):
        with pytest.raises(ActivationError, match=r"negative bit; pass tensor\.resolve_neg\(\)"):
            activation_view(given)


def test_a_subclass_of_tensors_is_a_tensor() -> None:
    class Own(torch.Tensor):
        pass

    tensor = torch.ones(1, 2, 3, 3)
    assert activation_view(tensor.as_subclass(Own)).data.ctypes.data == tensor.data_ptr()


@pytest.mark.skipif(has_gpu(), reason="the stand-in takes no DLPack")
def test_what_cupy_does_not_read_by_dlpack_is_named(cuda: Cupy) -> None:
    class Packed:
        def __dlpack_device__(self) -> tuple[int, int]:
            return 2, 0

    with pytest.raises(ActivationError, match=r"got a Packed that it does not \(.*\); pass a CuPy array"):
        activation_view(Packed())
