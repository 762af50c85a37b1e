"""The twenty classes of PASCAL VOC, in its order: class n of the masks is number n.

Source: Everingham et al., "The PASCAL Visual Object Classes Challenge", IJCV 2010, and the challenge's site, which
also names the groups (Person, Animal, Vehicle, Indoor) and spells three names out.
"""

from __future__ import annotations

from fastdissect.datasets.relations import Relation

__all__ = ["VOC_CLASSES", "VOC_RELATIONS", "VOC_SYNONYMS"]

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip

_GROUPS = {
    "animal": ("bird", "cat", "cow", "dog", "horse", "sheep"),
    "vehicle": ("aeroplane", "bicycle", "boat", "bus", "car", "motorbike", "train"),
    "indoor object": ("bottle", "chair", "diningtable", "pottedplant", "sofa", "tvmonitor"),
}

VOC_RELATIONS = tuple(Relation(name, group, "is-a") for group, names in _GROUPS.items() for name in names)

VOC_SYNONYMS = {
    "diningtable": ("dining table",),
    "pottedplant": ("potted plant",),
    "tvmonitor": ("tv/monitor",),
}
