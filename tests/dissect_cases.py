"""What a dissection must be, computed the plain way: all activations gathered, every map upsampled, every pixel
counted. Nothing here uses the package's sifting, packing or counting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fastdissect.batches import network_input
from fastdissect.datasets import Dataset, resize_labels
from fastdissect.models import Preprocessing
from fastdissect.types import Concepts, LabelChannel, Profile, Upsampling

Array = NDArray[Any]
PLAIN = Preprocessing(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


class Labelled(Dataset):
    """Images and labels from arrays: images uint8 [N, H, W, 3], labels[n] = ((category, map or number), ...)."""

    def __init__(
        self,
        images: Array,
        labels: Sequence[Sequence[tuple[int, Any]]],
        concepts: Concepts,
        names: Sequence[str] | None = None,
    ) -> None:
        self.name, self.concepts = "labelled", concepts
        self._images, self._labels = images, labels
        self._names = names or [f"{i:04d}" for i in range(len(images))]

    def __len__(self) -> int:
        return len(self._images)

    def image_name(self, index: int) -> str:
        return self._names[index]

    def read_image(self, index: int) -> tuple[Array, str]:
        import hashlib

        pixels = self._images[index]
        return pixels, hashlib.blake2b(pixels.tobytes(), digest_size=16).hexdigest()

    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        return tuple(LabelChannel(category, labels) for category, labels in self._labels[index])

    def files(self, index: int) -> tuple[Path, ...]:
        return ()

    def fingerprint(self) -> str:
        return "0" * 32


def vocabulary(*categories: Sequence[str]) -> Concepts:
    """Concepts numbered from 1, category after category."""
    names = tuple(name for own in categories for name in own)
    of = np.array([q for q, own in enumerate(categories) for _ in own], np.int64)
    return Concepts(np.arange(1, len(names) + 1), names, of, tuple(f"q{q}" for q in range(len(categories))))


def permuted(dataset: Dataset, order: Sequence[int]) -> Labelled:
    """The same images in another order."""
    return Labelled(
        [dataset.read_image(i)[0] for i in order],  # type: ignore[arg-type]
        [[(c.category, c.labels) for c in dataset.read_labels(i)] for i in order],
        dataset.concepts,
        [dataset.image_name(i) for i in order],
    )


def seen_by(profile: str, dataset: Dataset) -> Dataset:
    """The images that a run under this profile sees: NetDissect-Lite's leaves out those without a label."""
    if profile != "netdissect-lite":
        return dataset
    return permuted(dataset, [i for i in range(len(dataset)) if dataset.read_labels(i)])


def gather(
    module: nn.Module,
    dataset: Dataset,
    layers: Sequence[str],
    batch_size: int,
    size: tuple[int, int],
    preprocessing: Preprocessing = PLAIN,
    dtype: torch.dtype = torch.float32,
) -> dict[str, torch.Tensor]:
    """{layer: whatever tensor it gives, all images} by plain hooks, with the same batches."""
    found: dict[str, list[torch.Tensor]] = {name: [] for name in layers}
    handles = [
        module.get_submodule(name).register_forward_hook(
            lambda _m, _a, output, name=name: found[name].append(output.detach().clone())
        )
        for name in layers
    ]
    with torch.inference_mode():
        for first in range(0, len(dataset), batch_size):
            images = [
                network_input(dataset.read_image(i)[0], preprocessing, size)
                for i in range(first, min(first + batch_size, len(dataset)))
            ]
            module(torch.from_numpy(np.stack(images)).to(dtype))
    for handle in handles:
        handle.remove()
    return {name: torch.cat(parts) for name, parts in found.items()}


def positions(mode: str, n: int, m: int, field: tuple[int, int, int] | None = None, inputs: int = 0) -> Array:
    """Where the m pixels lie among n cells (of the map with its ring of zeros, for half-pixel-zero)."""
    pixel = np.arange(m, dtype=np.float64)
    if mode == "receptive-field":
        assert field is not None
        offset, extent, stride = field
        r = round(inputs / m)
        return np.clip((pixel - (extent // 2 + offset) // r) / (stride // r), 0, n - 1)
    centre = (pixel + 0.5) * n / m - 0.5
    return np.clip(centre + 1, 0, n + 1) if mode == "half-pixel-zero" else np.clip(centre, 0, n - 1)


def enlarge(maps: Array, rows: Array, columns: Array) -> Array:
    """[..., h, w] -> [..., H, W], bilinear at the positions: vertical first, every operation in float32."""

    def blend(x: Array, at: Array) -> Array:  # along the last axis
        first = np.floor(at).astype(int)
        second = np.minimum(first + 1, x.shape[-1] - 1)
        weight = (at - first).astype(np.float32)
        return x[..., first] + (x[..., second] - x[..., first]) * weight

    return blend(blend(maps.swapaxes(-1, -2), rows).swapaxes(-1, -2), columns)


def upsample_plainly(maps: Array, table: Upsampling, fields: Any = None, inputs: Any = (0, 0)) -> Array:
    """The table's mode, from its definition; PIL's shrinking alone is left to the table."""
    assert maps.dtype == np.float32
    if not table.rows.lerp or not table.columns.lerp:
        from fastdissect.kernels.reference import upsample

        return upsample(maps, table)
    mode = "half-pixel" if table.mode == "pil" else table.mode
    if mode == "half-pixel-zero":
        maps = np.pad(maps, [(0, 0)] * (maps.ndim - 2) + [(1, 1), (1, 1)])
    at = [
        positions(mode, n, m, None if fields is None else fields[axis], inputs[axis])
        for axis, (n, m) in enumerate(zip(table.cells, table.size, strict=True))
    ]
    return enlarge(maps, *at)


def threshold_of(values: Array, profile: Profile) -> np.float32:
    """One unit's threshold over all its values [n], by sorting."""
    ordered = np.sort(values + np.float32(0))
    n = len(ordered)
    if profile.readout == "inverted-cdf":
        return ordered[n - 1 - int(profile.quantile * n)]
    at = (n - 1) * (1 - profile.quantile)
    low, weight = int(at), at - int(at)
    if weight == 0:
        return ordered[low]
    a, b = float(ordered[low]), float(ordered[low + 1])
    return np.float32(a + (b - a) * float(weight))


class Plain(NamedTuple):
    thresholds: Array
    intersection: Array
    unit_area: Array
    concept_area: Array
    mask_area: Array
    masks: Array  # bool [images, units, H, W]


def dissect_plainly(
    maps: Array,
    dataset: Dataset,
    profile: Profile,
    table: Upsampling,
    *,
    thresholds: Array | None = None,
    fields: Any = None,
    inputs: Any = (0, 0),
    images: int | None = None,
) -> Plain:
    """maps float32 [N, K, h, w], finite -> thresholds and counts (METHODS 1.2 to 1.4)."""
    n, units = maps.shape[:2]
    pixels = upsample_plainly(maps, table, fields, inputs)
    if thresholds is None:
        population = pixels if profile.population == "upsampled" else maps
        by_unit = population.transpose(1, 0, 2, 3).reshape(units, -1)
        thresholds = np.array([threshold_of(own, profile) for own in by_unit], np.float32)
    masks = pixels > thresholds[None, :, None, None]
    if not (
        table.rows.lerp and table.columns.lerp
    ):  # by definition: a pixel without a cell above is not above
        cells = (maps > thresholds[None, :, None, None]).astype(np.float32)
        for axis, tap in ((-2, table.rows), (-1, table.columns)):
            at = np.minimum(tap.start[:, None] + np.arange(tap.taps), cells.shape[axis] - 1)
            cells = np.take(cells, at, axis=axis).max(axis=axis if axis == -1 else -2)
        masks &= cells > 0
    concepts = dataset.concepts
    column = {int(number): c for c, number in enumerate(concepts.numbers)}
    intersection = np.zeros((units, len(concepts)), np.int64)
    unit_area = np.zeros((units, len(concepts.categories)), np.int64)
    concept_area = np.zeros(len(concepts), np.int64)
    for i in range(n):
        held = set()  # categories that this image has a pixel of
        under = np.zeros(unit_area.shape, bool)
        planes: list[tuple[int, Array]] = []
        for channel in dataset.read_labels(i):
            if isinstance(channel.labels, np.ndarray):
                small = resize_labels(channel.labels, table.size)
                planes += [(column[int(v)], small == v) for v in np.unique(small) if v]
            else:
                planes.append((column[channel.labels], np.ones(table.size, bool)))
        if profile.repeats == "once":
            merged: dict[int, Array] = {}
            for c, plane in planes:
                merged[c] = merged.get(c, False) | plane
            planes = list(merged.items())
        for c, plane in planes:
            shared = (masks[i] & plane).sum((1, 2))
            intersection[:, c] += shared
            concept_area[c] += plane.sum()
            held.add(int(concepts.category[c]))
            under[shared > 0, concepts.category[c]] = True
        area = masks[i].sum((1, 2))
        for q in range(len(concepts.categories)):
            if profile.presence == "all" or (profile.presence == "image" and q in held):
                unit_area[:, q] += area
            elif profile.presence == "under-mask":
                unit_area[:, q] += area * under[:, q]
    return Plain(thresholds, intersection, unit_area, concept_area, masks.sum((0, 2, 3)), masks)


def assert_is(layer: Any, plain: Plain) -> None:
    """A LayerDissection holds exactly the plain result."""
    np.testing.assert_array_equal(layer.thresholds, plain.thresholds)
    for name in ("intersection", "unit_area", "concept_area", "mask_area"):
        found = getattr(layer, name)
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found, getattr(plain, name), err_msg=name)


def assert_canonical(layer: Any, maps: Array) -> None:
    """The kept cells are exactly those within reach of a cell above T, in the order unit, image, cell."""
    from fastdissect.kernels.keys import widen

    cells, reach = layer.activations, layer.upsampling.reach
    above = maps > layer.thresholds[None, :, None, None]
    kept = np.zeros_like(above)
    n, units, h, w = maps.shape
    for i, k, y, x in np.argwhere(above):
        kept[i, k, max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1] = True
    if layer.upsampling.ring:  # the ring's zeros are above a threshold below zero
        edge = np.ones((h, w), bool)
        edge[reach : h - reach, reach : w - reach] = False
        kept |= edge & (layer.thresholds < 0)[None, :, None, None]
    expected = [
        (k, i, cell, maps[i, k].flat[cell])
        for k in range(units)
        for i in range(n)
        for cell in np.flatnonzero(kept[i, k])
    ]
    found = []
    values = widen(cells.values, cells.kind)
    for k in range(units):
        for r in range(cells.unit_start[k], cells.unit_start[k + 1]):
            for j in range(cells.cell_start[r], cells.cell_start[r + 1]):
                found.append((k, int(cells.images[r]), int(cells.cells[j]), values[j]))
    assert found == expected


def as_dense(tensor: torch.Tensor) -> Array:
    """[N, K, h, w] or [N, K] of any float dtype as float32 numpy, exactly."""
    dense = tensor.float().numpy()
    return dense if dense.ndim == 4 else dense[:, :, None, None]


def same_results(a: Mapping[str, Any], b: Mapping[str, Any]) -> None:
    """Two dissections are equal in every bit."""
    assert list(a) == list(b)
    for name in a:
        one, two = a[name], b[name]
        assert one.shape == two.shape
        for field in ("thresholds", "seen", "intersection", "unit_area", "concept_area", "mask_area"):
            x, y = getattr(one, field), getattr(two, field)
            assert (x.dtype, x.tobytes()) == (y.dtype, y.tobytes()), f"{name}: {field}"
        for field in ("means", "maxima"):
            assert getattr(one, field).tobytes() == getattr(two, field).tobytes(), f"{name}: {field}"
        for field in ("unit_start", "images", "cell_start", "cells", "values"):
            x, y = getattr(one.activations, field), getattr(two.activations, field)
            assert (x.dtype, x.tobytes()) == (y.dtype, y.tobytes()), f"{name}: activations.{field}"


def same_files(one: Path, two: Path) -> None:
    """Two run folders hold the same files, byte for byte but run.json, and nothing else."""
    names = {str(p.relative_to(one)) for p in one.rglob("*")}
    assert names == {str(p.relative_to(two)) for p in two.rglob("*")}
    for name in sorted(names - {"run.json"}):
        if (one / name).is_file():
            assert (one / name).read_bytes() == (two / name).read_bytes(), name


class Net(nn.Module):
    """Three convolutions with a stride each; the middle one is dissected before its activation too."""

    def __init__(self, seed: int = 0, channels: int = 3) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first = nn.Sequential(nn.Conv2d(channels, 7, 5, stride=4, padding=2), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(7, 9, 3, stride=2, padding=1), nn.BatchNorm2d(9))
        self.third = nn.Sequential(nn.ReLU(), nn.Conv2d(9, 5, 3, padding=1), nn.ReLU())
        self.head = nn.Linear(5, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.third(self.second(self.first(x)))
        out: torch.Tensor = self.head(x.mean((2, 3)))
        return out


LAYERS = ("first", "second", "third", "head")


def tail(text: str) -> Fraction:
    return Fraction(text)
