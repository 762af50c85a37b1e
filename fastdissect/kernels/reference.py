"""What every kernel means, in NumPy. The other backends equal this bit for bit; nothing here is fast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.kernels import reference_codes, reference_masks
from fastdissect.kernels.concept_masks import ActiveCells, ConceptImages, Descent, Rule
from fastdissect.kernels.keys import NO_BOUND, from_keys, keys, widen
from fastdissect.kernels.mask_ranges import MaskRanges
from fastdissect.kernels.protocol import Fault, PackedLabels, Sifted, Values
from fastdissect.kernels.views import CodesView
from fastdissect.types import (
    ActivationView,
    AxisTable,
    Kind,
    Planes,
    SparseActivations,
    Upsampling,
    words_for,
)

__all__ = ["Reference", "along", "pack_bits", "upsample", "upsampled_mask"]

HUGE = np.float32(2.0**127 * (1 - 2.0**-24))  # the difference of two usable cells never overflows
ZERO_KEY = np.uint32(0x80000000)
NAN_BITS: dict[Kind, Any] = {
    "float32": np.float32(np.nan),
    "float16": np.float16(np.nan),
    "bfloat16": np.uint16(0x7FC0),
}


def upsample(maps: NDArray[np.float32], table: Upsampling) -> NDArray[np.float32]:
    """[..., h, w] -> [..., H, W] in the stated arithmetic (see fastdissect/upsampling.py)."""
    if table.ring:
        maps = np.pad(maps, [(0, 0)] * (maps.ndim - 2) + [(1, 1), (1, 1)])
    rows = along(maps, table.rows, -2)
    return along(rows, table.columns, -1)


def along(x: NDArray[np.float32], table: AxisTable, axis: int) -> NDArray[np.float32]:
    """One axis of it: -2, the rows, comes first, then -1."""
    last = x.shape[axis] - 1
    shape = (-1, 1) if axis == -2 else (-1,)
    taps = [np.take(x, np.minimum(table.start + t, last), axis) for t in range(table.taps)]
    weights = [table.weights[:, t].reshape(shape) for t in range(table.taps)]
    if table.lerp:
        first, second = taps
        between: NDArray[np.float32] = first + (second - first) * weights[1]
        return between
    total: NDArray[np.float32] = taps[0] * weights[0]
    for tap, weight in zip(taps[1:], weights[1:], strict=True):
        total = total + tap * weight
    return total


def upsampled_mask(
    maps: NDArray[np.float32], thresholds: NDArray[np.float32], table: Upsampling
) -> NDArray[np.bool_]:
    """`upsample(maps) > threshold`, thresholds broadcast to [..., 1, 1]; a NaN pixel is not above."""
    with np.errstate(invalid="ignore"):
        mask = upsample(maps, table) > thresholds
    if not (table.rows.lerp and table.columns.lerp):  # no tap above: the pixel is not above (by definition)
        above = maps > thresholds
        for axis, taps in ((-2, table.rows), (-1, table.columns)):
            last = above.shape[axis] - 1
            cells = [np.take(above, np.minimum(taps.start + t, last), axis) for t in range(taps.taps)]
            above = np.logical_or.reduce(cells)
        mask &= above
    return mask


def pack_bits(masks: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """bool [..., pixels] -> uint64 [..., words]; bit i of word w is pixel 64 w + i."""
    pixels = masks.shape[-1]
    words = words_for(pixels)
    padded = np.zeros((*masks.shape[:-1], words * 64), bool)
    padded[..., :pixels] = masks
    packed = np.packbits(padded, axis=-1, bitorder="little")
    return np.ascontiguousarray(packed).view("<u8").astype(np.uint64, copy=False)


def dilate(above: NDArray[np.bool_], reach: int, ring_above: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    """Cells within `reach` steps (diagonals too) of one above; ring_above: per map, the ring counts as above."""
    h, w = above.shape[-2:]
    lead = [(0, 0)] * (above.ndim - 2)
    padded = np.pad(above, [*lead, (reach, reach), (reach, reach)])
    if ring_above is not None and reach:
        ring = np.zeros((h + 2 * reach, w + 2 * reach), bool)
        ring[reach - 1 : h + reach + 1, reach - 1 : w + reach + 1] = True
        ring[reach : h + reach, reach : w + reach] = False
        padded = padded | (ring & ring_above[..., None, None])
    kept = np.zeros_like(above)
    for dy in range(2 * reach + 1):
        for dx in range(2 * reach + 1):
            kept |= padded[..., dy : dy + h, dx : dx + w]
    return kept


def lane_sums(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum over the last axis in the stated order: 16 lanes, then halves onto halves."""
    lanes = np.zeros((*x.shape[:-1], 16), np.float32)
    for start in range(0, x.shape[-1], 16):
        piece = x[..., start : start + 16]
        lanes[..., : piece.shape[-1]] += piece
    for half in (8, 4, 2, 1):
        lanes = lanes[..., :half] + lanes[..., half : 2 * half]
    return lanes[..., 0]


def _first_fault(x: NDArray[np.float32], bad: NDArray[np.bool_]) -> Fault | None:
    flat = np.flatnonzero(bad)
    if not len(flat):
        return None
    _, k, h, w = x.shape
    image, rest = divmod(int(flat[0]), k * h * w)
    unit, cell = divmod(rest, h * w)
    return Fault(image, unit, cell, float(x.reshape(-1)[flat[0]]))


def _sparse(values: NDArray[Any], kept: NDArray[np.bool_], kind: Kind) -> SparseActivations:
    """Dense [N, K, h, w] and what to keep -> canonical order unit, image, cell."""
    n, k, h, w = values.shape
    flat = np.ascontiguousarray(values.transpose(1, 0, 2, 3)).reshape(k, n, h * w)
    kept = np.ascontiguousarray(kept.transpose(1, 0, 2, 3)).reshape(k, n, h * w)
    lengths = kept.sum(2)
    unit, image = np.nonzero(lengths)
    return SparseActivations(
        shape=(n, k, h, w),
        kind=kind,
        unit_start=np.searchsorted(unit, np.arange(k + 1)).astype(np.int64),
        images=image.astype(np.uint32),
        cell_start=np.concatenate([[0], np.cumsum(lengths[unit, image])]).astype(np.int64),
        cells=np.nonzero(kept)[2].astype(np.uint16 if h * w <= 65536 else np.uint32),
        values=flat[kept],
    )


def densify(
    cells: SparseActivations, unit: int, fill: np.float32
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """One unit's records as dense float32 maps [records, h, w], absent cells reading as `fill`."""
    _, _, h, w = cells.shape
    lo, hi = cells.unit_start[unit], cells.unit_start[unit + 1]
    maps = np.full((hi - lo, h * w), fill, np.float32)
    for i, r in enumerate(range(lo, hi)):
        own = slice(cells.cell_start[r], cells.cell_start[r + 1])
        maps[i, cells.cells[own]] = widen(cells.values[own], cells.kind)
    return cells.images[lo:hi], maps.reshape(-1, h, w)


class Reference:
    name = "reference"

    def sift(
        self,
        view: ActivationView,
        bounds: NDArray[np.uint32],
        reach: int,
        ring: bool,
        omit: bool,
        threads: int,
    ) -> Sifted:
        del threads
        n, k, h, w = view.data.shape
        x = widen(view.data, view.kind)
        with np.errstate(invalid="ignore"):
            bad = ~(np.abs(x) <= HUGE)
        fault = _first_fault(x, bad) if not omit else None
        usable = np.where(bad, np.float32(0), x).reshape(n, k, h * w)
        good = (~bad).reshape(n, k, h * w).sum(2)
        top = np.where(bad, np.float32(-np.inf), x).reshape(n, k, h * w).max(2, initial=-np.inf)
        with np.errstate(invalid="ignore", over="ignore"):
            means = lane_sums(usable) / good.astype(np.float32)
        means[good == 0] = top[good == 0] = np.nan
        above = ~bad & (keys(np.where(bad, np.float32(0), x)) > bounds[None, :, None, None])
        ring_above = np.broadcast_to(bounds < ZERO_KEY, (n, k)) if ring else None
        kept = dilate(above, reach, ring_above)
        values = np.where(bad, NAN_BITS[view.kind], view.data)
        missing = bad.sum((0, 2, 3)).astype(np.int64)
        return Sifted(_sparse(values, kept, view.kind), means, top + np.float32(0), missing, fault)

    def sift_codes(
        self,
        view: CodesView,
        bounds: NDArray[np.uint32],
        reach: int,
        ring: bool,
        omit: bool,
        threads: int,
    ) -> Sifted:
        return reference_codes.sift_codes(
            view, bounds, lambda maps, own: self.sift(maps, own, reach, ring, omit, threads)
        )

    def filter(self, view: ActivationView, bounds: NDArray[np.uint32], omit: bool, threads: int) -> Values:
        del threads
        x = widen(view.data, view.kind)
        bad = np.isnan(x)
        fault = _first_fault(x, bad) if not omit else None
        above = ~bad & (keys(np.where(bad, np.float32(0), x)) > bounds[None, :, None, None])
        n, k, h, w = x.shape
        above = np.ascontiguousarray(above.transpose(1, 0, 2, 3)).reshape(k, n * h * w)
        values = np.ascontiguousarray(view.data.transpose(1, 0, 2, 3)).reshape(k, n * h * w)[above]
        start = np.concatenate([[0], np.cumsum(above.sum(1))]).astype(np.int64)
        return Values(start, values, bad.sum((0, 2, 3)).astype(np.int64), fault)

    def prune(
        self,
        parts: Sequence[SparseActivations],
        bounds: NDArray[np.uint32],
        reach: int,
        ring: bool,
        threads: int,
    ) -> SparseActivations:
        del threads
        _, k, h, w = parts[0].shape
        offsets = np.concatenate([[0], np.cumsum([p.shape[0] for p in parts])])
        images: list[int] = []
        cells: list[NDArray[Any]] = []
        values: list[NDArray[Any]] = []
        unit_start = [0]
        for unit in range(k):
            for part, first in zip(parts, offsets[:-1], strict=True):
                for r in range(part.unit_start[unit], part.unit_start[unit + 1]):
                    own = slice(part.cell_start[r], part.cell_start[r + 1])
                    at, value = part.cells[own], part.values[own]
                    x = widen(value, part.kind)
                    above = np.zeros(h * w, bool)
                    above[at] = ~np.isnan(x) & (
                        keys(np.nan_to_num(x, nan=0, posinf=np.inf, neginf=-np.inf)) > bounds[unit]
                    )
                    around = np.array(ring and bounds[unit] < ZERO_KEY)
                    kept = dilate(above.reshape(h, w), reach, around).reshape(-1)[at]
                    if kept.any():
                        images.append(int(part.images[r]) + int(first))
                        cells.append(at[kept])
                        values.append(value[kept])
            unit_start.append(len(images))
        empty = parts[0]
        lengths = [len(c) for c in cells]
        return SparseActivations(
            shape=(int(offsets[-1]), k, h, w),
            kind=empty.kind,
            unit_start=np.array(unit_start, np.int64),
            images=np.array(images, np.uint32),
            cell_start=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            cells=np.concatenate(cells) if cells else empty.cells[:0].copy(),
            values=np.concatenate(values) if values else empty.values[:0].copy(),
        )

    def join(
        self,
        starts: Sequence[NDArray[np.int64]],
        values: Sequence[NDArray[Any]],
        kind: Kind,
        bounds: NDArray[np.uint32],
        threads: int,
    ) -> tuple[NDArray[np.int64], NDArray[Any]]:
        del threads
        kept = []
        for unit, bound in enumerate(bounds):
            own = np.concatenate([v[s[unit] : s[unit + 1]] for s, v in zip(starts, values, strict=True)])
            x = widen(own, kind)
            kept.append(
                own[~np.isnan(x) & (keys(np.nan_to_num(x, nan=0, posinf=np.inf, neginf=-np.inf)) > bound)]
            )
        start = np.concatenate([[0], np.cumsum([len(v) for v in kept])]).astype(np.int64)
        return start, np.concatenate(kept) if kept else values[0][:0]

    def select(
        self,
        starts: Sequence[NDArray[np.int64]],
        values: Sequence[NDArray[Any]],
        kind: Kind,
        bounds: NDArray[np.uint32],
        ranks: NDArray[np.int64],
        threads: int,
    ) -> NDArray[np.uint32]:
        del threads
        chosen = np.empty(ranks.shape, np.uint32)
        for unit, bound in enumerate(bounds):
            own = [v[s[unit] : s[unit + 1]] for s, v in zip(starts, values, strict=True)]
            chosen[unit] = _ranked(widen(np.concatenate(own), kind), bound, ranks[unit])
        return chosen

    def raise_bounds(
        self,
        starts: Sequence[NDArray[np.int64]],
        values: Sequence[NDArray[Any]],
        kind: Kind,
        bounds: NDArray[np.uint32],
        rank: int,
        threads: int,
    ) -> NDArray[np.uint32]:
        del threads
        risen = bounds.copy()
        for unit, bound in enumerate(bounds):
            x = widen(
                np.concatenate([v[s[unit] : s[unit + 1]] for s, v in zip(starts, values, strict=True)]), kind
            )
            if len(x) < rank:
                continue
            key = np.where(
                np.isnan(x), np.uint32(0), keys(np.nan_to_num(x, nan=0, posinf=np.inf, neginf=-np.inf))
            )
            n = 128 if len(x) >= 4096 else 32
            sample = np.sort(key[np.arange(n) * len(x) // n])[::-1]
            for j in (rank * n // len(x) + n // 20, rank * n // len(x) + n // 7):
                if j >= n or sample[j] <= bound:
                    break
                if (key > sample[j]).sum() >= rank:
                    risen[unit] = sample[j]
                    break
            else:
                risen[unit] = _ranked(x, bound, np.array([rank]))[0]
        return risen

    def select_pixels(
        self,
        parts: Sequence[SparseActivations],
        bounds: NDArray[np.uint32],
        ranks: NDArray[np.int64],
        upsampling: Upsampling,
        threads: int,
    ) -> NDArray[np.uint32]:
        del threads
        chosen = np.empty(ranks.shape, np.uint32)
        for unit, bound in enumerate(bounds):
            fill = from_keys(bound) if bound != NO_BOUND else np.float32(-HUGE)
            pixels = [upsample(densify(p, unit, np.float32(fill))[1], upsampling).reshape(-1) for p in parts]
            chosen[unit] = _ranked(np.concatenate(pixels), bound, ranks[unit])
        return chosen

    def raise_pixels(
        self,
        parts: Sequence[SparseActivations],
        bounds: NDArray[np.uint32],
        rank: int,
        upsampling: Upsampling,
        threads: int,
    ) -> NDArray[np.uint32]:
        del threads
        height, width = parts[0].shape[2:]
        place = rank * 13 * height * width // (10 * upsampling.size[0] * upsampling.size[1])
        risen = bounds.copy()
        for unit, bound in enumerate(bounds):
            own = [
                p.values[p.cell_start[p.unit_start[unit]] : p.cell_start[p.unit_start[unit + 1]]]
                for p in parts
            ]
            x = widen(np.concatenate(own), parts[0].kind)
            key = np.sort(keys(x[~np.isnan(x)]))[::-1]
            key = key[key > bound]
            if place < len(key):
                fill = from_keys(bound) if bound != NO_BOUND else np.float32(-HUGE)
                pixels = [upsample(densify(p, unit, np.float32(fill))[1], upsampling) for p in parts]
                above = sum(int((p > from_keys(key[place])).sum()) for p in pixels)
                risen[unit] = key[place] if above >= rank else bound
        return risen

    def histogram(
        self,
        view: ActivationView,
        shift: int,
        prefix: NDArray[np.uint32] | None,
        bins: NDArray[np.int64],
        omit: bool,
        threads: int,
    ) -> tuple[NDArray[np.int64], Fault | None]:
        del threads
        x = widen(view.data, view.kind)
        bad = np.isnan(x)
        fault = _first_fault(x, bad) if not omit else None
        for unit in range(x.shape[1]):
            key = keys(x[:, unit][~bad[:, unit]])
            if prefix is not None:
                key = key[key >> np.uint32(16) == prefix[unit]] & np.uint32(0xFFFF)
            bins[unit] += np.bincount(key >> np.uint32(shift), minlength=bins.shape[1])
        return bad.sum((0, 2, 3)).astype(np.int64), fault

    def pack(self, labels: NDArray[Any], columns: NDArray[np.int32], once: bool) -> PackedLabels:
        channels, h, w = labels.shape
        flat = labels.reshape(channels, h * w).astype(np.int64)
        present = np.unique(flat[flat > 0])
        foreign = [n for n in present if n >= len(columns) or columns[n] < 0]
        if foreign:
            none = np.zeros((0, words_for(h * w)), np.uint64)
            return PackedLabels(np.zeros(0, np.int32), np.zeros(0, np.int64), none, int(foreign[0]))
        found = []
        for number in present:
            masks = flat == number
            for mask in [masks.any(0)] if once else masks[masks.any(1)]:
                found.append((int(columns[number]), mask))
        found.sort(key=lambda pair: pair[0])
        masks = np.array([mask for _, mask in found], bool).reshape(-1, h * w)
        concept = np.array([c for c, _ in found], np.int32)
        return PackedLabels(concept, masks.sum(1).astype(np.int64), pack_bits(masks), 0)

    def count(
        self,
        cells: SparseActivations,
        cursor: NDArray[np.int64],
        first_image: int,
        thresholds: NDArray[np.float32],
        upsampling: Upsampling,
        planes: Planes,
        category: NDArray[np.int64],
        present: NDArray[np.bool_] | None,
        intersection: NDArray[np.int64],
        unit_area: NDArray[np.int64],
        mask_area: NDArray[np.int64],
        threads: int,
    ) -> None:
        del threads
        for unit, threshold in enumerate(thresholds):
            images, maps = densify(cells, unit, threshold)
            masks = pack_bits(
                upsampled_mask(maps, threshold, upsampling).reshape(
                    len(maps), planes.size[0] * planes.size[1]
                )
            )
            base = cells.unit_start[unit]
            while cursor[unit] < cells.unit_start[unit + 1]:
                image = int(images[cursor[unit] - base]) - first_image
                if image >= planes.images:
                    break
                mask = masks[cursor[unit] - base]
                area = int(np.bitwise_count(mask).sum())
                mask_area[unit] += area
                under = np.zeros(unit_area.shape[1], bool)
                for p in range(planes.plane_start[image], planes.plane_start[image + 1]):
                    row = planes.word_row[p]
                    shared = area if row < 0 else int(np.bitwise_count(mask & planes.words[row]).sum())
                    intersection[unit, planes.concept[p]] += shared
                    under[category[planes.concept[p]]] |= shared > 0
                unit_area[unit] += area * (under if present is None else present[image])
                cursor[unit] += 1

    def count_permuted(
        self,
        masks: MaskRanges,
        planes: Planes,
        permutations: NDArray[np.int64],
        category: NDArray[np.int64],
        present: NDArray[np.bool_] | None,
        intersection: NDArray[np.int64],
        unit_area: NDArray[np.int64],
        threads: int,
    ) -> None:
        del threads
        for i, permutation in enumerate(permutations):
            for n, image in enumerate(permutation):
                for r in range(masks.image_start[n], masks.image_start[n + 1]):
                    unit, area = masks.unit[r], masks.area[r]
                    own = masks.words[masks.word_start[r] : masks.word_start[r + 1]]
                    at = slice(masks.first_word[r], masks.first_word[r] + len(own))
                    under = np.zeros(unit_area.shape[2], bool)
                    for p in range(planes.plane_start[image], planes.plane_start[image + 1]):
                        row = planes.word_row[p]
                        shared = (
                            int(area) if row < 0 else int(np.bitwise_count(own & planes.words[row, at]).sum())
                        )
                        intersection[i, unit, planes.concept[p]] += shared
                        under[category[planes.concept[p]]] |= shared > 0
                    unit_area[i, unit] += area * (under if present is None else present[image])

    def descend_masks(
        self,
        cells: ActiveCells,
        shown: ConceptImages,
        upsampling: Upsampling,
        state: Descent,
        rule: Rule,
        order: NDArray[np.int64],
        threads: int,
    ) -> None:
        del threads
        reference_masks.descend_masks(cells, shown, upsampling, state, rule, order)

    def predict_masks(
        self,
        cells: ActiveCells,
        shown: ConceptImages,
        upsampling: Upsampling,
        concept: NDArray[np.int64],
        start: NDArray[np.int64],
        weights: NDArray[np.float32],
        bias: NDArray[np.float32] | None,
        area: NDArray[np.int64],
        shared: NDArray[np.int64],
        threads: int,
    ) -> None:
        del threads
        reference_masks.predict_masks(cells, shown, upsampling, concept, start, weights, bias, area, shared)


def _ranked(x: NDArray[np.float32], bound: np.uint32, ranks: NDArray[np.int64]) -> NDArray[np.uint32]:
    key = keys(x[~np.isnan(x)])
    key = np.sort(key[key > bound])[::-1]
    at = np.minimum(ranks, len(key)) - 1
    return np.where(ranks > len(key), bound, key[at] if len(key) else bound).astype(np.uint32)
