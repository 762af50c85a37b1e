# Compiled kernels; see fastdissect/kernels/protocol.py for what each means.

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

_Array: TypeAlias = NDArray[Any]
_Axis: TypeAlias = tuple[Any, ...]

def instruction_sets() -> list[str]: ...
def sift(
    isa: str,
    data: _Array,
    kind: str,
    bounds: NDArray[np.uint32],
    reach: int,
    ring: bool,
    omit: bool,
    threads: int,
) -> tuple[tuple[_Array, ...], NDArray[np.float32], NDArray[np.float32], NDArray[np.int64], int]: ...
def sift_codes(
    indices: NDArray[np.int64],
    values: NDArray[np.float32],
    units: int,
    height: int,
    width: int,
    bounds: NDArray[np.uint32],
    reach: int,
    ring: bool,
    omit: bool,
    threads: int,
) -> tuple[tuple[_Array, ...], NDArray[np.float32], NDArray[np.float32], NDArray[np.int64], int]: ...
def filter(
    isa: str, data: _Array, kind: str, bounds: NDArray[np.uint32], omit: bool, threads: int
) -> tuple[NDArray[np.int64], _Array, NDArray[np.int64], int]: ...
def prune(
    parts: list[tuple[Any, ...]],
    kind: str,
    wide: bool,
    units: int,
    height: int,
    width: int,
    bounds: NDArray[np.uint32],
    reach: int,
    ring: bool,
    threads: int,
) -> tuple[_Array, ...]: ...
def join(
    parts: list[tuple[_Array, _Array]], kind: str, bounds: NDArray[np.uint32], threads: int
) -> tuple[NDArray[np.int64], _Array]: ...
def select(
    parts: list[tuple[_Array, _Array]],
    kind: str,
    bounds: NDArray[np.uint32],
    ranks: NDArray[np.int64],
    threads: int,
) -> NDArray[np.uint32]: ...
def raise_bounds(
    parts: list[tuple[_Array, _Array]], kind: str, bounds: NDArray[np.uint32], rank: int, threads: int
) -> NDArray[np.uint32]: ...
def select_pixels(
    isa: str,
    parts: list[tuple[Any, ...]],
    kind: str,
    wide: bool,
    height: int,
    width: int,
    rows: _Axis,
    columns: _Axis,
    ring: bool,
    bounds: NDArray[np.uint32],
    ranks: NDArray[np.int64],
    threads: int,
) -> NDArray[np.uint32]: ...
def raise_pixels(
    isa: str,
    parts: list[tuple[Any, ...]],
    kind: str,
    wide: bool,
    height: int,
    width: int,
    rows: _Axis,
    columns: _Axis,
    ring: bool,
    bounds: NDArray[np.uint32],
    rank: int,
    threads: int,
) -> NDArray[np.uint32]: ...
def histogram(
    data: _Array,
    kind: str,
    shift: int,
    prefix: NDArray[np.uint32] | None,
    bins: NDArray[np.int64],
    threads: int,
) -> tuple[NDArray[np.int64], int]: ...
def pack(
    labels: _Array, columns: NDArray[np.int32], once: bool
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.uint64], int]: ...
def count(
    isa: str,
    sparse: tuple[_Array, ...],
    kind: str,
    height: int,
    width: int,
    cursor: NDArray[np.int64],
    first_image: int,
    thresholds: NDArray[np.float32],
    rows: _Axis,
    columns: _Axis,
    ring: bool,
    planes: tuple[_Array, ...],
    category: NDArray[np.int64],
    present: NDArray[np.bool_] | None,
    intersection: NDArray[np.int64],
    unit_area: NDArray[np.int64],
    mask_area: NDArray[np.int64],
    threads: int,
) -> None: ...
def count_permuted(
    isa: str,
    masks: tuple[_Array, ...],
    planes: tuple[_Array, ...],
    permutations: NDArray[np.int64],
    category: NDArray[np.int64],
    present: NDArray[np.bool_] | None,
    intersection: NDArray[np.int64],
    unit_area: NDArray[np.int64],
    threads: int,
) -> None: ...
def descend_masks(
    isa: str,
    cells: tuple[_Array, ...],
    map_width: int,
    tables: tuple[Any, ...],
    shown: tuple[_Array, ...],
    state: tuple[_Array, ...],
    rule: tuple[Any, ...],
    order: NDArray[np.int64],
    threads: int,
) -> None: ...
def predict_masks(
    isa: str,
    cells: tuple[_Array, ...],
    map_width: int,
    tables: tuple[Any, ...],
    shown: tuple[_Array, ...],
    concept: NDArray[np.int64],
    start: NDArray[np.int64],
    weights: NDArray[np.float32],
    bias: NDArray[np.float32] | None,
    area: NDArray[np.int64],
    shared: NDArray[np.int64],
    threads: int,
) -> None: ...
