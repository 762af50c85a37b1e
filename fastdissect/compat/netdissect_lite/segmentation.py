"""`FeatureOperator.data`: what scripts around NetDissect-Lite ask its data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastdissect.compat.netdissect_lite.broden import LiteBroden
from fastdissect.compat.netdissect_lite.tables import Row
from fastdissect.errors import SettingError

if TYPE_CHECKING:
    from fastdissect.compat.netdissect_lite.operator import FeatureOperator

__all__ = ["SegmentationData"]


class SegmentationData:
    """Images, labels and categories of a run; images are numbered from 0, without those that have no label.

    Attributes:
        directory: the data set's folder.
        image: a row an image (image, split, ih, iw, sh, sw, and a list of numbers and paths a category).
        label: a row a label number, from 0 (empty), as label.csv has them.
        category: {name: row of category.csv}, in its order.
        labelcat: float64 [labels, categories], 1 in the label's primary category.

    Example:
        >>> fo.data.size(), fo.data.category_names(), fo.data.name(None, 12)  # doctest: +SKIP
        (63305, ['color', 'object', 'part', 'scene', 'texture'], 'tree')
    """

    def __init__(self, broden: LiteBroden, operator: FeatureOperator) -> None:
        self.broden, self.operator = broden, operator
        self.directory = str(broden.path)
        tables = broden.tables
        self.label, self.category = tables.label, tables.category
        self.labelcat = np.eye(len(self.category))[tables.primary]

    @property
    def image(self) -> list[Row]:
        return [self.broden.row(i) for i in range(len(self.broden))]

    def size(self, split: str | None = None) -> int:
        """Number of images, of one split or of all."""
        return len(self.broden) if split is None else self.broden.splits.count(split)

    def filename(self, i: int) -> str:
        """Path of image i."""
        return str(self.broden.files(self._image(i))[0])

    def split(self, i: int) -> str:
        """ "train" or "val"."""
        return self.broden.splits[self._image(i)]

    def category_names(self) -> list[str]:
        return list(self.category)

    def category_frequency(self, category: str) -> float:
        """Images touched by a category, as category.csv says."""
        return float(self.category[self._category(category)]["frequency"])

    def category_index_map(self, category: str) -> NDArray[np.int64]:
        """[labels]: label number -> the category's own code, 0 where it lacks the label."""
        return self.broden.tables.codes[self._category(category)].copy()

    def label_size(self, category: str | None = None) -> int:
        """Number of labels of a category, or of all, and one for "none"."""
        return len(self._rows(category))

    def name(self, category: str | None, j: int) -> str:
        """Name of label number j, or of the category's code j."""
        return str(self.label[self._label(category, j)]["name"])

    def all_names(self, category: str | None, j: int) -> list[str]:
        """The name and its synonyms."""
        row = self.label[self._label(category, j)]
        return [str(row["name"]), *row.get("syns", [])]

    def frequency(self, category: str | None, j: int) -> int:
        """Images with the label, as the tables say."""
        return int(self._row(category, j)["frequency"])

    def coverage(self, category: str | None, j: int) -> float:
        """The label's area in whole images, as the tables say."""
        return float(self._row(category, j)["coverage"])

    def primary_categories_per_index(self) -> NDArray[np.int64]:
        """[labels]: index of each label's primary category; label 0 belongs to the last."""
        return self.broden.tables.primary.copy()

    def segmentation_data(self, category: str, i: int, c: int = 0, full: bool = False) -> NDArray[np.int16]:
        """int16 [height, width]: channel c of an image's labels, the first where there are fewer.

        Args:
            full: label numbers; else the category's own codes.
        """
        name = self._category(category)
        items = self.broden.items(self._image(i), self.category_names().index(name)) or [0]
        item = items[c if -len(items) <= c < len(items) else 0]
        if isinstance(item, str):
            labels = self.broden.label_map(i, item)
        else:
            labels = np.full(self.broden.masks_size, item, np.uint16)
        return (labels if full else self.broden.tables.codes[name][labels]).astype(np.int16)

    def _rows(self, category: str | None) -> list[Row]:
        return self.label if category is None else self.broden.tables.coded[self._category(category)]

    def _row(self, category: str | None, j: int) -> Row:
        rows = self._rows(category)
        if not -len(rows) <= j < len(rows):
            what = "label number" if category is None else f"code of {category!r}"
            raise IndexError(f"expected a {what} from 0 to {len(rows) - 1}; got {j}")
        return rows[j]

    def _label(self, category: str | None, j: int) -> int:
        return int(j) if category is None and self._row(None, j) else int(self._row(category, j)["number"])

    def _category(self, name: str) -> str:
        if name not in self.category:
            raise SettingError(f"expected a category of {', '.join(self.category)}; got {name!r}")
        return name

    def _image(self, i: int) -> int:
        if not -len(self.broden) <= i < len(self.broden):
            raise IndexError(f"expected an image from 0 to {len(self.broden) - 1}; got {i}")
        return int(i) % len(self.broden)

    def __getattr__(self, name: str) -> Any:
        offered = sorted(n for n in dir(type(self)) if not n.startswith("_"))
        raise AttributeError(
            f"NetDissect-Lite's data set is offered here in part: directory, label, category, labelcat, "
            f"{', '.join(offered)}; not {name!r}. The whole data set is fastdissect.datasets.Broden(directory)"
        )
