"""The labels of `shapes`.

Numbers rise from category to category as in Broden, with gaps. Textures lie above 255, so that every set
written in Broden's format uses both bytes of its label coding. "wall" and "window" are labels of two categories,
as many of Broden's are: objects in a room, parts of a house or car.
"""

from __future__ import annotations

from fastdissect.datasets.relations import Relation
from fastdissect.datasets.vocabulary import make_concepts

__all__ = [
    "CATEGORIES",
    "CLASSES",
    "COLORS",
    "CONCEPTS",
    "MATERIALS",
    "NUMBER",
    "RELATIONS",
    "SCENES",
    "SUBJECTS",
    "TEXTURES",
]

CATEGORIES = ("color", "object", "part", "material", "scene", "texture")

COLORS = ("black", "blue", "brown", "grey", "green", "orange", "pink", "purple", "red", "white", "yellow")
SUBJECTS = ("disk", "square", "triangle", "star", "ring", "house", "car", "tree", "face", "flower")
STUFF = ("sky", "sea", "sand", "grass", "mountain", "building", "road", "wall", "floor", "window")
PARTS = ("roof", "door", "body", "wheel", "crown", "trunk", "eye", "pupil", "mouth", "petal", "stem")
MATERIALS = ("painted", "metal", "wood", "brick", "fabric")
SCENES = ("beach", "sea", "meadow", "street", "room", "night", "desert", "mountain")
TEXTURES = ("striped", "dotted", "chequered", "zigzagged", "grid", "marbled")

CLASSES = SUBJECTS + TEXTURES

_NAMES = {
    "color": tuple(f"{name}-c" for name in COLORS),
    "object": SUBJECTS + STUFF,
    "part": PARTS,
    "material": MATERIALS,
    "scene": tuple(f"{name}-s" for name in SCENES),
    "texture": TEXTURES,
}
_FIRST = {"color": 1, "object": 21, "part": 51, "material": 81, "scene": 101, "texture": 301}

NUMBER = {name: _FIRST[category] + i for category in CATEGORIES for i, name in enumerate(_NAMES[category])}
"""Label number of each name; scenes end in -s and colours in -c, which keeps "sea" and "sea-s" apart."""

CONCEPTS = make_concepts(
    {
        NUMBER[name]: (name, CATEGORIES.index(category))
        for category in CATEGORIES
        for name in _NAMES[category]
    },
    CATEGORIES,
)

_PARTS_OF = {
    "house": ("roof", "wall", "door", "window"),
    "car": ("body", "window", "wheel"),
    "tree": ("crown", "trunk"),
    "face": ("eye", "mouth"),
    "eye": ("pupil",),
    "flower": ("petal", "stem"),
}
_KINDS_OF = {
    "building": ("house",),
    "plant": ("tree", "flower", "grass"),
    "ground": ("sand", "grass", "road", "floor"),
    "geometric shape": ("disk", "square", "triangle", "star", "ring"),
    "outdoor scene": tuple(f"{name}-s" for name in SCENES if name != "room"),
}

RELATIONS = (
    *(Relation(part, whole, "part-of") for whole, parts in _PARTS_OF.items() for part in parts),
    *(Relation(one, kind, "is-a") for kind, ones in _KINDS_OF.items() for one in ones),
)
"""Things and their parts, and kinds of things; four of the kinds are no labels themselves. Grass is of two."""
