"""The CUDA backend: the same kernels on the GPU (csrc/cuda), through CuPy."""

from __future__ import annotations
