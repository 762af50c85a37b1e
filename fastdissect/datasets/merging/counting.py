"""How often each unified label occurs: Broden's frequency and coverage; the filters and the numbering by them.

Source: Bau et al., "Network Dissection", CVPR 2017, as the released joinseg.py does it: frequency is the number of
images that hold a label, coverage the sum of the fractions of their area, both summed over categories.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastdissect.datasets.merging.options import MergeOptions
from fastdissect.datasets.merging.unifying import UnifiedLabel
from fastdissect.datasets.protocol import Dataset
from fastdissect.datasets.resize import resize_labels
from fastdissect.datasets.tallying import LabelTally
from fastdissect.types import LabelChannel

__all__ = ["count_labels", "select_labels"]


def count_labels(dataset: Dataset, progress: Callable[[int, int], None] | None = None) -> LabelTally:
    """Read all labels of a data set and count them; an image's label maps at the size of the first.

    Args:
        dataset: any data set.
        progress: called with (images done, images) after each image.
    """
    tally = LabelTally(dataset.concepts)
    for index in range(len(dataset)):
        channels = dataset.read_labels(index)
        shapes = [c.labels.shape for c in channels if not isinstance(c.labels, int)]
        size = (int(shapes[0][0]), int(shapes[0][1])) if shapes else (1, 1)
        same = [
            c if isinstance(c.labels, int) else LabelChannel(c.category, resize_labels(c.labels, size))
            for c in channels
        ]
        tally.add(same, size)
        if progress is not None:
            progress(index + 1, len(dataset))
    return tally


def select_labels(
    labels: tuple[UnifiedLabel, ...], tally: LabelTally, options: MergeOptions
) -> tuple[list[UnifiedLabel], tuple[str, ...]]:
    """Filter and number labels by what was counted.

    Args:
        labels: row i of the tally is labels[i]; each gets its counts, its reason where it is left out, and, across
            categories, the primary category: that of its largest coverage, of equals the later.
        tally: of the merged set with all labels.
        options: the filters, and whether the order goes by frequency.

    Returns:
        The labels that stay, in the order of their numbers, and the categories that have labels still: ordered by
        their smallest number where the order goes by frequency (as Broden's are).
    """
    images, coverage = tally.images.sum(axis=1), tally.coverage.sum(axis=1)
    categories = tally.concepts.categories
    kept = []
    for row, label in enumerate(labels):
        label.images, label.coverage = int(images[row]), float(coverage[row])
        if options.across_categories and label.images:
            listed = np.flatnonzero(tally.images[row])
            label.category = categories[max((float(tally.coverage[row, q]), int(q)) for q in listed)[1]]
        reasons = []
        if label.images < options.min_images:
            reasons.append(f"{label.images} images, fewer than {options.min_images}")
        if label.coverage < options.min_coverage:
            reasons.append(f"coverage {label.coverage:.3g}, less than {options.min_coverage:g}")
        label.dropped = "; ".join(reasons)
        if not reasons:
            kept.append((row, label))
    if options.by_frequency:
        kept.sort(key=lambda item: (-item[1].images, -item[1].coverage, item[0]))
    first: dict[str, int] = {}
    for number, (row, label) in enumerate(kept):
        for category in {label.category, *(categories[q] for q in np.flatnonzero(tally.images[row]))}:
            first.setdefault(category, number)
    present = [name for name in categories if name in first]
    if options.by_frequency:
        present.sort(key=lambda name: (first[name], categories.index(name)))
    return [label for _, label in kept], tuple(present)
