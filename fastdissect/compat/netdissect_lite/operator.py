"""`FeatureOperator`: NetDissect-Lite's three steps, over one exact pass."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from fastdissect.compat.netdissect_lite import live
from fastdissect.compat.netdissect_lite.broden import LiteBroden
from fastdissect.compat.netdissect_lite.extraction import Extraction
from fastdissect.compat.netdissect_lite.features import LayerFeatures
from fastdissect.compat.netdissect_lite.inputs import LITE_MEAN
from fastdissect.compat.netdissect_lite.label_planes import label_planes, lite_profile
from fastdissect.compat.netdissect_lite.lite_settings import read_settings
from fastdissect.compat.netdissect_lite.plain_arrays import count_array, sift_array
from fastdissect.compat.netdissect_lite.recounting import checked_thresholds
from fastdissect.compat.netdissect_lite.segmentation import SegmentationData
from fastdissect.compat.netdissect_lite.strict import with_stale_categories
from fastdissect.compat.netdissect_lite.tallying import Row, tally_rows, write_rows
from fastdissect.errors import ActivationError, OutputError, SettingError
from fastdissect.files import atomic_write
from fastdissect.layer import LayerDissection
from fastdissect.storage import layer_folder

__all__ = ["FeatureOperator"]


class FeatureOperator:
    """The steps of NetDissect-Lite's main.py: extract, threshold, tally.

    Args:
        settings: a module or any object with Lite's names; None: the module `settings`, imported as Lite does.
        strict: count as Lite does also where that is a defect (docs/netdissect-lite.md): an image's label 0, and
            categories left over from the image before.
        fresh: move aside an earlier run in OUTPUT_FOLDER instead of using it or going on with it.

    Attributes:
        data: `SegmentationData`: names, files, labels.
        mean: what is taken off pixels, in blue, green, red.

    Raises:
        SettingError: settings missing or senseless; the message names file, name, and an example.
        DataError: Broden, or its index, is not as it should be.

    Example:
        >>> fo = FeatureOperator()  # doctest: +SKIP
        >>> features, maxfeature = fo.feature_extraction(model=model)  # doctest: +SKIP

    Source: the behaviour of CSAILVision/NetDissect-Lite (Zhou, Bau); the computation is fastdissect's.
    """

    def __init__(self, settings: Any = None, *, strict: bool = False, fresh: bool = False) -> None:
        self.settings = read_settings(settings)
        self.strict, self.fresh = strict, fresh
        self.broden = LiteBroden(self.settings, strict=strict)
        self.data = SegmentationData(self.broden, self)
        self.mean = list(LITE_MEAN)
        self.extraction: Extraction | None = None
        self._written: dict[Path, Any] = {}  # by whose features a file was written
        live.remember(self.settings)

    def feature_extraction(
        self, model: nn.Module | None = None, memmap: bool = True
    ) -> tuple[list[LayerFeatures], list[NDArray[np.float32]]]:
        """Run the network once over all images, for all of settings.FEATURE_NAMES together.

        Thresholds and counts come with it. The results lie in OUTPUT_FOLDER/fastdissect (`fastdissect.load` reads
        them); an interrupted run goes on, a finished one is used again, if settings, weights and data agree.

        Args:
            model: the network, as `loadmodel` returns it.
            memmap: either way what is returned lies on disk and is read when used.

        Returns:
            features and maxfeature, one a layer, in the order of settings.FEATURE_NAMES: `LayerFeatures` of
            [images, units, height, width], and float32 [images, units], every image's maximum.

        Raises:
            FastdissectError: any of its kinds. An earlier run with other settings is an OutputError that says what
                differs; activations that are NaN are an ActivationError that names layer, unit and image.
        """
        del memmap
        if not isinstance(model, nn.Module):
            raise SettingError(
                f"expected model=, a torch.nn.Module such as loadmodel(hook_feature) gives; got {type(model).__name__}"
            )
        self.extraction = Extraction(model, self.settings, self.broden, fresh=self.fresh)
        self.fresh = False  # a second call goes on with the first one's
        live.follow(self.extraction)
        return list(self.extraction.features), self.extraction.maxima

    def quantile_threshold(self, features: Any, savepath: str = "") -> NDArray[np.float64]:
        """Return the exact thresholds, float64 [units], at the level that Lite reads (0.005: 994/999, linear).

        Args:
            features: one of `feature_extraction`'s, or an array [images, units, height, width].
            savepath: file name; the file lies where `path_for` says. It is written anew every time, never read.

        Raises:
            ActivationError: an array that cannot be read; see `plain_arrays.sift_array`.
        """
        if isinstance(features, LayerFeatures):
            found = features.thresholds
        else:
            profile, masks = lite_profile(self.settings), self.broden.masks_size
            found = sift_array(features, profile, masks).found.thresholds
        thresholds = found.astype(np.float64)
        if savepath:
            with atomic_write(self._claim(features, savepath)) as file:
                np.save(file, thresholds, allow_pickle=False)
        return thresholds

    def tally(self, features: Any, threshold: Any, savepath: str = "") -> list[Row]:
        """Count masks and labels, and return Lite's rows: a dict a unit, best score first, units from 1.

        Args:
            features: as for `quantile_threshold`.
            threshold: [units]. Those of `quantile_threshold` cost nothing; higher ones are counted from what was
                retained; lower ones run the network once more (a warning says so).
            savepath: file name; the file lies where `path_for` says. It is written anew every time, never read.

        Raises:
            SettingError: thresholds of another number, or NaN.
            ActivationError: an array over another number of images than the data set's.
        """
        rows = tally_rows(self.layer_of(features, threshold), self.broden.zero)
        if savepath:
            write_rows(rows, self.broden.concepts.categories, self._claim(features, savepath))
        return rows

    def layer_of(self, features: Any, thresholds: Any, name: str = "features") -> LayerDissection:
        """What is found in these features under these thresholds, as a `fastdissect` result.

        Args:
            name: the layer's, where the features are an array.
        """
        if isinstance(features, LayerFeatures):
            layer = features.layer
            found = features.extraction.at(
                layer, checked_thresholds(thresholds, layer.units_count, layer.name)
            )
        else:
            found = self._array_layer(features, thresholds, name)
        return with_stale_categories(found, self.broden) if self.strict else found

    def _array_layer(self, features: Any, thresholds: Any, name: str) -> LayerDissection:
        shape: tuple[int, ...] = tuple(getattr(features, "shape", ()))
        if len(shape) < 2 or shape[0] != len(self.broden):
            raise ActivationError(
                f"expected features of feature_extraction, or an array [images, units, ...] of the data set's "
                f"{len(self.broden)} images (without those that have no label); got {type(features).__name__} of "
                f"shape {shape}"
            )
        profile, cuts = lite_profile(self.settings), checked_thresholds(thresholds, int(shape[1]), name)
        sifted = sift_array(features, profile, self.broden.masks_size, name=name, thresholds=cuts)
        planes = label_planes(self.broden, self.settings)
        return count_array(sifted, name, profile, self.broden.concepts, planes)

    def path_for(self, features: Any, savepath: str) -> Path:
        """Where a file of these features lies: OUTPUT_FOLDER/savepath where the settings name one layer, else
        OUTPUT_FOLDER/<layer>/savepath (an array's: OUTPUT_FOLDER/savepath, for we cannot tell its layer)."""
        folder = self.settings.output
        if isinstance(features, LayerFeatures) and len(self.settings.layers) > 1:
            folder = folder / layer_folder(features.name)
        return folder / savepath

    def _claim(self, features: Any, savepath: str) -> Path:
        """The path, unless an array's file would overwrite another array's."""
        path = self.path_for(features, savepath)
        owner = self._written.get(path)
        if owner is not None and len(self.settings.layers) > 1 and owner() is not features:
            raise OutputError(
                f"{path} was written for other features; give each layer's array a savepath of its own, or pass the "
                "features that feature_extraction returns"
            )
        if not isinstance(features, LayerFeatures):
            self._written[path] = weakref.ref(features)
        return path

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(
            "FeatureOperator offers data, mean, feature_extraction, quantile_threshold and tally (and layer_of, "
            f"path_for, settings, extraction, of our own); not {name!r}"
        )
