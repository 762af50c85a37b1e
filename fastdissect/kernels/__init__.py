"""The kernels: one NumPy meaning each (reference.py) and its faster twins, all equal bit for bit.

protocol.py    what each kernel takes, gives and means
reference.py   the meaning, in NumPy
jit.py         Numba, where there is no compiler
cuda/          CUDA, through CuPy (csrc/cuda)
cpp.py         C++, one object per instruction set (csrc/cpu)
selection.py   which of them runs
stores.py      what they retain, on the host or on a GPU
"""

from __future__ import annotations

from fastdissect.kernels.protocol import Backend, Fault, PackedLabels, Sifted, Values
from fastdissect.kernels.selection import available, backend, backend_for, get_num_threads, set_num_threads

__all__ = [
    "Backend",
    "Fault",
    "PackedLabels",
    "Sifted",
    "Values",
    "available",
    "backend",
    "backend_for",
    "get_num_threads",
    "set_num_threads",
]
