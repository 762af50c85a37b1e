"""The parts of Pascal-Part: which classes have them, and what their short names mean.

Source: part2ind.m of the release (Chen et al., "Detect What You Can", CVPR 2014); its comments give the readable names.
A name with a number behind is one of several: wheel_1, wheel_2 are two wheels, and both are "wheel" here.
"""

from __future__ import annotations

import re

from fastdissect.datasets.pascal.classes import VOC_CLASSES

__all__ = ["PARTS", "READABLE", "merged_name", "short_name"]

_FACE = "head leye reye lear rear"
_BODY = "frontside leftside rightside backside roofside"
_BUS = f"{_BODY} leftmirror rightmirror fliplate bliplate door wheel headlight window"
_CAT = f"{_FACE} nose torso neck lfleg lfpa rfleg rfpa lbleg lbpa rbleg rbpa tail"
_LEGS = "lfuleg lflleg rfuleg rflleg lbuleg lblleg rbuleg rblleg"
_COW = f"{_FACE} muzzle lhorn rhorn torso neck {_LEGS} tail"

_WRITTEN = {
    "aeroplane": "body stern lwing rwing tail engine wheel",
    "bicycle": "fwheel bwheel saddle handlebar chainwheel headlight",
    "bird": "head leye reye beak torso neck lwing rwing lleg lfoot rleg rfoot tail",
    "bottle": "cap body",
    "bus": _BUS,
    "car": _BUS,
    "cat": _CAT,
    "cow": _COW,
    "dog": f"{_CAT} muzzle",
    "horse": f"{_FACE} muzzle torso neck {_LEGS} tail lfho rfho lbho rbho",
    "motorbike": "fwheel bwheel handlebar saddle headlight",
    "person": f"{_FACE} lebrow rebrow nose mouth hair torso neck llarm luarm lhand rlarm ruarm rhand llleg luleg lfoot "
    "rlleg ruleg rfoot",
    "pottedplant": "pot plant",
    "sheep": _COW,
    "train": "head " + " ".join(f"h{side}" for side in _BODY.split()) + " headlight coach "
    + " ".join(f"c{side}" for side in _BODY.split()),
    "tvmonitor": "screen",
}  # fmt: skip

PARTS = {name: tuple(_WRITTEN.get(name, "").split()) for name in VOC_CLASSES}
"""Class -> the short names of its parts; boat, chair, diningtable and sofa have none."""

_SIDES = {"l": "left", "r": "right", "f": "front", "b": "back"}
_LIMBS = {
    "wing": "wing", "eye": "eye", "ear": "ear", "horn": "horn", "ebrow": "eyebrow", "leg": "leg", "foot": "foot",
    "hand": "hand", "larm": "lower arm", "uarm": "upper arm", "lleg": "lower leg", "uleg": "upper leg", "pa": "paw",
    "ho": "hoof", "wheel": "wheel", "liplate": "license plate", "mirror": "mirror", "side": "side",
}  # fmt: skip
_WHOLE = {"handlebar": "handle bar", "chainwheel": "chain wheel"}
_SHORT = re.compile(rf"(?P<side>[lr])?(?P<end>[fb])?(?P<limb>{'|'.join(_LIMBS)})")
_VEHICLE = re.compile(r"(?P<of>[hc])?(?P<side>left|right|front|back|roof)(?P<limb>side|mirror)")
_INSTANCE = re.compile(r"_[0-9]+$")
_MERGED = {"left", "right", "front", "back", "upper", "lower", "side"}


def short_name(published: str) -> str:
    """A part's name without the number that tells several of one object apart.

    >>> short_name("wheel_2"), short_name("lear")
    ('wheel', 'lear')
    """
    return _INSTANCE.sub("", published)


def _readable(short: str) -> str:
    if short in _WHOLE:
        return _WHOLE[short]
    match = _VEHICLE.fullmatch(short)
    if match:
        of = {"h": "head", "c": "coach"}.get(match["of"] or "", "")
        return f"{of} {match['side']} {match['limb']}".strip()
    match = _SHORT.fullmatch(short)
    if match and (match["side"] or match["end"]):
        sides = [_SIDES[letter] for letter in (match["side"], match["end"]) if letter]
        return " ".join((*sides, _LIMBS[match["limb"]]))
    return short


READABLE = {part: _readable(part) for parts in PARTS.values() for part in parts}
"""Short name -> readable name: "lfuleg" -> "left front upper leg"; the same where it is a word already."""


def merged_name(short: str) -> str:
    """A part's readable name without its side, as Broden merges them (METHODS 1.6).

    >>> merged_name("lear"), merged_name("lfuleg"), merged_name("hroofside"), merged_name("leftside")
    ('ear', 'leg', 'head roof', 'side')
    """
    words = READABLE[short].split()
    return " ".join(word for word in words if word not in _MERGED) or words[-1]
