"""Stand-ins for the peers' checkouts: small brute-force twins with the same files, names and imports.

They are slow and exact, so that what the benchmark says of them is known: no rank error, the same labels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fastdissect.benchmarks.cases import Case
from fastdissect.benchmarks.work import Found, Work

SETTINGS = "CATAGORIES = ['nothing']\nOUTPUT_FOLDER = 'result'\nQUANTILE = 0.5\n"

LOADER = """
import csv, os
import numpy
import settings
from scipy.misc import imread
from scipy.ndimage.interpolation import zoom

class SegmentationData:
    def __init__(self, directory, categories):
        self.directory = directory
        def table(name):
            with open(os.path.join(directory, name)) as file:
                return list(csv.DictReader(file))
        self.image = table(settings.INDEX_FILE)
        self.categories = [row["name"] for row in table("category.csv") if row["name"] in categories]
        self.names = {int(row["number"]): row["name"] for row in table("label.csv")}
        cover = numpy.zeros((max(self.names) + 1, len(self.categories)))
        for i, category in enumerate(self.categories):
            for row in table("c_%s.csv" % category):
                cover[int(row["number"]), i] = float(row["coverage"])
        last = cover.shape[1] - 1 - cover[:, ::-1].argmax(1)  # ties go to the later category
        self.labelcat = self.onehot(last)

    def onehot(self, numbers):
        raise NotImplementedError("old NumPy is needed")

    def category_names(self):
        return self.categories

    def size(self):
        return len(self.image)

    def metadata(self, i):
        return self.image[i]

    def resolve_segmentation(self, row, categories):
        found = {}
        for category in categories:
            items = [item for item in row[category].split(";") if item]
            if all(item.isdigit() for item in items):
                found[category] = [int(item) for item in items]
                continue
            maps = []
            for item in items:
                shape = int(row["sh"]), int(row["sw"])
                if item.isdigit():
                    maps.append(numpy.full(shape, int(item)))
                else:
                    rgb = imread(os.path.join(self.directory, "images", item))
                    maps.append(rgb[:, :, 0] + rgb[:, :, 1] * 256)
            found[category] = numpy.array(maps)
        return found, None

class SegmentationPrefetcher:
    def __init__(self, *arguments, **named):
        raise RuntimeError("the records are prepared: nothing is fetched")
"""

OPERATION = """
import numpy
import settings
from scipy.misc import imresize
from loader.data_loader import SegmentationData, SegmentationPrefetcher

assert numpy.isnan(numpy.NaN)

class FeatureOperator:
    def __init__(self):
        self.data = SegmentationData(settings.DATA_DIRECTORY, categories=settings.CATAGORIES)

    def quantile_threshold(self, features):
        print("noise")
        rows = features.transpose(1, 0, 2, 3).reshape(features.shape[1], -1)
        return numpy.quantile(rows.astype(float), 994 / 999, axis=1)

    def tally(self, features, thresholds):
        data = self.data
        units, labels = features.shape[1], len(data.labelcat)
        both, truth = numpy.zeros((units, labels)), numpy.zeros(labels)
        area = numpy.zeros((units, len(data.categories)))
        for batch in SegmentationPrefetcher(data, batch_size=3, start=0, end=data.size()).batches():
            for record in batch:
                maps = [numpy.full((record["sh"], record["sw"]), n) for c in data.categories
                        for n in record[c] if numpy.ndim(n) == 0]
                maps += [m for c in data.categories for m in record[c] if numpy.ndim(m) == 2]
                for m in maps:
                    truth += numpy.bincount(m.ravel(), minlength=labels)
                for unit in range(units):
                    up = imresize(features[record["i"]][unit], (record["sh"], record["sw"]), mode="F")
                    mask = up > thresholds[unit]
                    under = sum(numpy.bincount(m[mask], minlength=labels) for m in maps)
                    under[0] = 0
                    both[unit] += under
                    area[unit] += mask.sum() * (under @ data.labelcat > 0)
        iou = both / (area @ data.labelcat.T + truth - both + 1e-10)
        iou[:, 0] = 0
        rows = []
        for unit in numpy.argsort(-iou.max(1)):
            best = [int((iou[unit] * own).argmax()) for own in data.labelcat.T]
            score = [iou[unit, b] * data.labelcat[b, i] for i, b in enumerate(best)]
            top = max(range(len(score)), key=lambda i: (score[i], i))
            row = {"unit": unit + 1, "label": data.names.get(best[top], ""), "score": score[top]}
            row.update({c + "-iou": s for c, s in zip(data.categories, score)})
            rows.append(row)
        return rows
"""

TALLY = """
import torch
from statsmodels.stats.correlation_tools import cov_nearest

class Exact:
    def quantiles(self, level):
        return torch.quantile(torch.cat(self.rows), level, dim=0)

def tally_quantile(compute, dataset, r):
    found = Exact()
    found.rows = [compute(batch) for batch in dataset.split(10)]
    return found

def conditional_samples(maps, labels):
    return maps, labels

def tally_conditional_mean(compute, dataset):
    return [compute(maps[None], labels[None]) for maps, labels in dataset]

def iou_from_conditional_indicator_mean(pairs):
    masks = torch.cat([m for m, _ in pairs]).bool()
    labels = torch.cat([l for _, l in pairs])
    rows = []
    for label in range(int(labels.max()) + 1):
        on = (labels == label).any(1, keepdim=True)
        both = (masks & on).sum((0, 2, 3))
        either = (masks | on).sum((0, 2, 3))
        rows.append(both / either)
    return torch.stack(rows)
"""

UPSAMPLE = """
import torch
from torchvision import transforms

def upsampler(size, data_shape):
    def up(maps):  # a ring of zeros, half-pixel centres
        h, w = data_shape
        y = ((torch.arange(size[0], dtype=torch.float64) + 0.5) * h / size[0] + 0.5)
        x = ((torch.arange(size[1], dtype=torch.float64) + 0.5) * w / size[1] + 0.5)
        padded = torch.nn.functional.pad(maps.double(), (1, 1, 1, 1))
        top, left = y.long(), x.long()
        fy, fx = (y - top)[:, None], x - left
        rows = padded[:, :, top] * (1 - fy) + padded[:, :, top + 1] * fy
        return (rows[..., left] * (1 - fx) + rows[..., left + 1] * fx).float()
    return up
"""

STATS = """
import torch

class Quantile:
    def __init__(self):
        self.rows = []
    def add(self, rows):
        self.rows.append(rows)
    def quantiles(self, level):
        return torch.quantile(torch.cat(self.rows), level, dim=0)
"""

FILES = {
    "netdissect-lite": {
        "settings.py": SETTINGS,
        "feature_operation.py": OPERATION,
        "loader/__init__.py": "",
        "loader/data_loader.py": LOADER,
        "util/vecquantile.py": "",
    },
    "dissect": {
        "netdissect/__init__.py": "",
        "netdissect/pbar.py": "default_verbosity = True\n",
        "netdissect/tally.py": TALLY,
        "netdissect/upsample.py": UPSAMPLE,
        "netdissect/runningstats.py": "",
    },
    "baukit": {"baukit/runningstats.py": STATS},
}


def fake_checkouts(folder: Path) -> dict[str, Path | None]:
    """Folders of all three, by the names that `field_of` takes."""
    for name, files in FILES.items():
        for path, text in files.items():
            file = folder / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    return {name: folder / name for name in FILES}


def three_ranks_low(case: Case) -> Work:
    """A planted sketch: three values too many lie above its thresholds."""
    rows = np.sort(case.activations.transpose(1, 0, 2, 3).reshape(case.units, -1), axis=1)
    above = rows.shape[1] // 200 + 3

    def run(_: None) -> Found:
        return {"thresholds": rows[:, -1 - above]}

    return Work(run)


def broken(case: Case) -> Work:
    raise ValueError(f"planted: {case.images} images are not to its taste")
