"""Net2Vec: concepts as combinations of filters (Fong & Vedaldi 2018; METHODS section 3).

segmentation.py    segmentation_vectors(layer, planes, train)        all concepts at once, without the network
classification.py  classification_vectors(layer, planes, train)      from pooled activations
top_filters.py     retrain_top_filters(vectors, layer, planes, train)    how many filters a concept needs
classification_filters.py                                                likewise; filter_counts.py: what comes out
result.py          ConceptVectors, and saving.py: save, load
features.py targets.py problem.py classification_problem.py     what is trained on
first_category.py  the released code's masks, where a label lives in several categories
training.py torch_training.py one_concept.py    the kernel's epochs; torch for a GPU; the released procedure
balanced_fits.py balanced_fit.py        classification vectors, one concept after the other
sealed_file.py filter_counts_file.py    checkpoints; scores with fewer filters on disk
baseline.py        the best single filter
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastdissect.methods.net2vec.classification import classification_vectors
    from fastdissect.methods.net2vec.classification_filters import classification_top_filters
    from fastdissect.methods.net2vec.classification_settings import ClassificationSettings
    from fastdissect.methods.net2vec.filter_counts import FilterCounts, sharing
    from fastdissect.methods.net2vec.first_category import first_category_planes
    from fastdissect.methods.net2vec.image_scores import ImageScores
    from fastdissect.methods.net2vec.result import ConceptVectors
    from fastdissect.methods.net2vec.segmentation import segmentation_vectors
    from fastdissect.methods.net2vec.settings import SegmentationSettings
    from fastdissect.methods.net2vec.top_filters import retrain_top_filters

_WHERE = {
    "ClassificationSettings": "classification_settings",
    "ConceptVectors": "result",
    "FilterCounts": "filter_counts",
    "ImageScores": "image_scores",
    "SegmentationSettings": "settings",
    "classification_top_filters": "classification_filters",
    "classification_vectors": "classification",
    "first_category_planes": "first_category",
    "retrain_top_filters": "top_filters",
    "segmentation_vectors": "segmentation",
    "sharing": "filter_counts",
}

__all__ = [
    "ClassificationSettings",
    "ConceptVectors",
    "FilterCounts",
    "ImageScores",
    "SegmentationSettings",
    "classification_top_filters",
    "classification_vectors",
    "first_category_planes",
    "retrain_top_filters",
    "segmentation_vectors",
    "sharing",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'fastdissect.methods.net2vec' has no attribute {name!r}")
    found = getattr(importlib.import_module(f"fastdissect.methods.net2vec.{_WHERE[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
