"""What NetDissect-Lite computes, the slow way: its tables and masks read with csv and Pillow, every map of every unit
enlarged by Pillow, labels counted under each mask. Nothing here uses the package."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

Array = NDArray[Any]
CATEGORIES = ("object", "part", "scene", "texture", "color")


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


class Labels(NamedTuple):
    """One image: whole-image label numbers, and stacked maps of label numbers or None."""

    scalars: list[int]
    maps: Array | None
    size: tuple[int, int]


class PlainBroden:
    """A Broden folder through NetDissect-Lite's eyes."""

    def __init__(
        self, folder: Path, categories: Sequence[str] = CATEGORIES, index: str = "index.csv"
    ) -> None:
        self.folder = folder
        self.categories = [
            row["name"] for row in read_csv(folder / "category.csv") if row["name"] in categories
        ]
        rows = read_csv(folder / index)
        self.rows = [row for row in rows if any(self._counts(row[q]) for q in self.categories)]
        self.names = {int(row["number"]): row["name"] for row in read_csv(folder / "label.csv")}
        cover = [
            {int(r["number"]): float(r["coverage"]) for r in read_csv(folder / f"c_{q}.csv")}
            for q in self.categories
        ]
        self.labels = 1 + max(self.names)
        self.primary = [
            max((own.get(n, 0.0), q) for q, own in enumerate(cover))[1] for n in range(self.labels)
        ]

    @staticmethod
    def _counts(cell: str) -> bool:
        return any(not item.isdigit() or int(item) for item in cell.split(";") if item)

    def image(self, i: int) -> Array:
        return np.array(Image.open(self.folder / "images" / self.rows[i]["image"]).convert("RGB"))

    def read(self, i: int) -> Labels:
        row = self.rows[i]
        size = int(row["sh"]), int(row["sw"])
        scalars: list[int] = []
        maps: list[Array] = []
        for q in self.categories:
            items = [item for item in row[q].split(";") if item]
            if all(item.isdigit() for item in items):
                scalars += [int(item) for item in items]
                continue
            for item in items:
                if item.isdigit():
                    maps.append(np.full(size, int(item)))
                else:
                    pixels = np.array(Image.open(self.folder / "images" / item).convert("RGB"), np.int64)
                    maps.append(pixels[:, :, 0] + 256 * pixels[:, :, 1])
        return Labels(scalars, np.stack(maps) if maps else None, size)


def network_inputs(pixels: Array) -> Array:
    """uint8 [n, H, W, 3] -> float32 [n, 3, H, W]: Caffe's mean off, then one divisor for all channels."""
    centred = (pixels.astype(np.float64) - np.array([124.6901, 118.6897, 109.5388])).astype(np.float32)
    return np.ascontiguousarray(centred.transpose(0, 3, 1, 2)) / np.float32(255 * 0.224)


def all_activations(net: nn.Module, data: PlainBroden, layers: Sequence[str], batch: int) -> dict[str, Array]:
    """{layer: float32 [N, K, h, w]} by plain hooks."""
    found: dict[str, list[Array]] = {name: [] for name in layers}
    hooks = [
        net.get_submodule(name).register_forward_hook(
            lambda _m, _a, out, name=name: found[name].append(out.numpy())
        )
        for name in layers
    ]
    with torch.inference_mode():
        for first in range(0, len(data.rows), batch):
            own = [data.image(i) for i in range(first, min(first + batch, len(data.rows)))]
            net(torch.from_numpy(network_inputs(np.stack(own))))
    for hook in hooks:
        hook.remove()
    dense = {name: np.concatenate(parts) for name, parts in found.items()}
    return {name: a if a.ndim == 4 else a[:, :, None, None] for name, a in dense.items()}


def exact_thresholds(maps: Array, quantile: float = 0.005) -> Array:
    """Float64 [K]: numpy's linear quantile at the entry of the 1,000-point table that Lite reads."""
    level = int(1000 * (1 - quantile) - 1) / 999
    units = maps.shape[1]
    ordered = np.sort(maps.transpose(1, 0, 2, 3).reshape(units, -1).astype(np.float64), axis=1)
    at = (ordered.shape[1] - 1) * level
    low = min(math.floor(at), ordered.shape[1] - 2) if ordered.shape[1] > 1 else 0
    high = min(low + 1, ordered.shape[1] - 1)
    return ordered[:, low] + (ordered[:, high] - ordered[:, low]) * (at - low)


class PlainTally(NamedTuple):
    """Counts over the whole axis of label numbers, and the rows that follow."""

    intersection: Array  # [K, labels]
    area: Array  # [K, categories]
    truth: Array  # [labels]
    iou: Array  # [K, labels]
    rows: list[dict[str, Any]]


def tally_plainly(maps: Array, data: PlainBroden, thresholds: Array, *, strict: bool = False) -> PlainTally:
    """Map by map. strict: label 0 of a whole image counts; categories are left over from the unit before where an
    image has no maps."""
    units, labels, count = maps.shape[1], data.labels, len(data.categories)
    shared, area, truth = np.zeros((units, labels)), np.zeros((units, count)), np.zeros(labels)
    present = np.zeros(count, bool)
    for i in range(len(maps)):
        scalars, channels, size = data.read(i)
        scalars = scalars if strict else [n for n in scalars if n]
        for n in scalars:
            truth[n] += size[0] * size[1]
        if channels is not None:
            truth[1:] += np.bincount(channels.ravel(), minlength=labels)[1:]
        for k in range(units):
            if not maps[i, k].max() > thresholds[k]:
                continue
            large = Image.fromarray(maps[i, k]).resize(size[::-1], Image.Resampling.BILINEAR)
            mask = np.asarray(large).astype(np.float64) > thresholds[k]
            if channels is not None or not strict:
                present = np.zeros(count, bool)
            if channels is not None:
                under = np.bincount(channels[:, mask].ravel(), minlength=labels)
                under[0] = 0
                shared[k] += under
                present[[data.primary[n] for n in np.flatnonzero(under)]] = True
            for n in scalars:
                shared[k, n] += mask.sum()
                present[data.primary[n]] = True
            area[k] += mask.sum() * present
    iou = shared / (area[:, data.primary] + truth - shared + 1e-10)
    return PlainTally(shared, area, truth, iou, plain_rows(shared, area, truth, iou, data))


def plain_rows(
    shared: Array, area: Array, truth: Array, iou: Array, data: PlainBroden
) -> list[dict[str, Any]]:
    primary, rows = np.array(data.primary), []
    for k in range(len(iou)):
        row: dict[str, Any] = {"unit": k + 1, "category": "", "label": "", "score": -1.0}
        for q, name in enumerate(data.categories):
            n = int(np.argmax(np.where(primary == q, iou[k], 0)))
            score = iou[k, n] if primary[n] == q else 0.0
            if score >= row["score"]:  # the later category of equals
                row.update(category=name, label=data.names.get(n, ""), score=float(score))
            row |= {
                f"{name}-label": data.names.get(n, ""),
                f"{name}-truth": float(truth[n]),
                f"{name}-activation": float(area[k, primary[n]]),
                f"{name}-intersect": float(shared[k, n]),
                f"{name}-iou": float(score),
            }
        rows.append(row)
    return sorted(rows, key=lambda row: (-row["score"], -row["unit"]))


def assert_same_rows(found: Sequence[dict[str, Any]], plain: Sequence[dict[str, Any]]) -> None:
    """The same units in the same order with the same labels, counts to a pixel in ten thousand, IoU to 1e-4."""
    assert [row["unit"] for row in found] == [row["unit"] for row in plain]
    for one, other in zip(found, plain, strict=True):
        assert list(one) == list(other)
        for column, value in other.items():
            if isinstance(value, str):
                assert one[column] == value, (one["unit"], column)
            elif column.endswith(("iou", "score")):
                assert abs(one[column] - value) <= 1e-4, (one["unit"], column)
            else:
                assert math.isclose(one[column], value, rel_tol=1e-4, abs_tol=0.5), (one["unit"], column)


class LiteNet(nn.Module):
    """Children with plain names, as `loadmodel` needs; one dead unit, one that fires rarely, one constant."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(7)
        self.early = nn.Sequential(nn.Conv2d(3, 10, 5, stride=4, padding=2), nn.ReLU())
        self.late = nn.Sequential(nn.Conv2d(10, 14, 3, stride=2, padding=1), nn.ReLU())
        self.head = nn.Linear(14, 6)
        for own in self.parameters():
            own.data = torch.randn(own.shape, generator=generator) / math.sqrt(max(1, own[0].numel()))
        last = self.late[0]
        last.bias.data[2] = -100.0
        last.weight.data[5] = 0
        last.bias.data[5] = 2.5

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.head(self.late(self.early(x)).mean((2, 3)))
        return out


def lite_settings(folder: Path, data: Path, **other: Any) -> SimpleNamespace:
    """Lite's settings for a small data set, as a namespace."""
    values: dict[str, Any] = {
        "GPU": False,
        "QUANTILE": 0.005,
        "SCORE_THRESHOLD": 0.04,
        "TOPN": 3,
        "CATAGORIES": list(CATEGORIES),
        "OUTPUT_FOLDER": str(folder),
        "DATA_DIRECTORY": str(data),
        "IMG_SIZE": 48,
        "FEATURE_NAMES": ["late"],
        "BATCH_SIZE": 16,
        "INDEX_FILE": "index.csv",
    }
    return SimpleNamespace(**{**values, **other})


def rewrite_index(folder: Path, change: Any, to: str = "index.csv") -> None:
    """Write index.csv (or another) with change(i, row) applied to every row."""
    rows = read_csv(folder / "index.csv")
    for i, row in enumerate(rows):
        change(i, row)
    with (folder / to).open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
