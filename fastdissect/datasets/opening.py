"""Data sets by name: "broden:PATH", "folder:PATH", "shapes", with options behind.

    broden:/data/broden1_224?split=val,max_pixels=1000000
    shapes:images=500,size=112,seed=0

Options are `key=value`, separated by commas; behind a path they follow a question mark.
"""

from __future__ import annotations

import importlib
import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fastdissect.datasets.protocol import Dataset
from fastdissect.errors import SettingError, nearest

__all__ = ["dataset_forms", "has_path", "open_dataset"]


class _Reader(NamedTuple):
    """Where a reader is. Its constructor's arguments, after the path, are its options."""

    place: str  # module:class below fastdissect.datasets; imported when it is asked for
    form: str
    has_path: bool = True
    last: str = ""  # an option whose value is all that follows: a data set's name, with options of its own

    def make(self) -> type[Dataset]:
        module, _, name = self.place.partition(":")
        found: type[Dataset] = getattr(importlib.import_module(f"fastdissect.datasets.{module}"), name)
        return found

    def options(self) -> Mapping[str, type]:
        """{name: int, float, bool or str}."""
        init = self.make().__init__
        hints = typing.get_type_hints(init)
        names = list(inspect.signature(init).parameters)[2 if self.has_path else 1 :]
        return {name: _plain_type(hints[name]) for name in names}


def _plain_type(hint: Any) -> type:
    """`int | None` -> int."""
    if isinstance(hint, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    return hint if hint in (int, float, bool) else str


_READERS = {
    "broden": _Reader("broden:Broden", "broden:PATH[?split=train|val]"),
    "folder": _Reader("folder:Folder", "folder:PATH"),
    "shapes": _Reader("shapes:Shapes", "shapes[:images=500,size=112,seed=0]", has_path=False),
    "coco": _Reader("coco.instances:Coco", "coco:ANNOTATIONS.json[?images=FOLDER]"),
    "coco-panoptic": _Reader(
        "coco.panoptic:CocoPanoptic", "coco-panoptic:PANOPTIC.json[?images=FOLDER,masks=FOLDER]"
    ),
    "coco-stuff": _Reader("coco.stuff:CocoStuff", "coco-stuff:MASKS[?images=FOLDER]"),
    "lvis": _Reader("coco.lvis:Lvis", "lvis:ANNOTATIONS.json[?images=FOLDER]"),
    "paco": _Reader("coco.paco:Paco", "paco:ANNOTATIONS.json[?images=FOLDER,attributes=finest|all|none]"),
    "sa1b": _Reader("coco.sa1b:Sa1b", "sa1b:PATH[?labels=FILE.csv]"),
    "ade20k": _Reader("ade20k.full:Ade20k", "ade20k:PATH[?split=training]"),
    "ade20k-150": _Reader("ade20k.scene_parsing:SceneParsing150", "ade20k-150:PATH[?split=training]"),
    "voc": _Reader("pascal.segmentation:Voc", "voc:PATH[?split=trainval]"),
    "voc-context": _Reader("pascal.context:VocContext", "voc-context:PATH[?labels=59,split=val]"),
    "voc-parts": _Reader("pascal.parts:VocParts", "voc-parts:PATH[?merge_sides=yes,by_class=yes]"),
    "cityscapes": _Reader(
        "cityscapes:Cityscapes", "cityscapes:PATH[?split=val,annotations=gtCoarse,ignored=yes]"
    ),
    "dtd": _Reader("dtd:Dtd", "dtd:PATH[?split=train1]"),
    "opensurfaces": _Reader("opensurfaces:OpenSurfaces", "opensurfaces:PATH"),
    "imagenet-s": _Reader("imagenet_s:ImageNetS", "imagenet-s:PATH[?split=train-semi,names=FILE.csv]"),
    "classes": _Reader("class_folders:ClassFolders", "classes:PATH[?category=object,names=FILE.csv]"),
    "labelme": _Reader("labelme.dataset:Labelme", "labelme:PATH[?lines=draw|skip,category=object]"),
    "webdataset": _Reader(
        "webdataset.dataset:WebDataset",
        "webdataset:PATH.tar[?labels=FILE.csv,classes=FILE.txt,mask=seg.png,json=FIELD]",
    ),
    "hf": _Reader("huggingface.dataset:HuggingFace", "hf:NAME[?split=train,image=image,mask=annotation]"),
    "merged": _Reader("merging.merged_file:MergedFile", "merged:FILE.json"),
    "segmenter": _Reader(
        "segmented.dataset:Segmented", "segmenter:MODEL?[cut=0.5,...,]images=FOLDER_OR_SPEC", last="images"
    ),
    "generator": _Reader(
        "segmented.generated:Generated",
        "generator:segmenter=MODEL,z=128[,images=1000,seed=0]",
        has_path=False,
    ),
}

# Only what looks like options is taken for them, so that a folder may have a question mark in its name.
_OPTIONS_BEHIND_PATH = re.compile(r"(?s)(.*?)\?([a-z_]+=[^?]*)")
_OPTIONS_TO_THE_END = re.compile(
    r"(?s)(.*?)\?([a-z_]+=.*)"
)  # where the last one is a name with options of its own


def open_dataset(spec: str | Dataset) -> Dataset:
    """Open a data set by its name; a `Dataset` is returned as it is.

    Args:
        spec: "broden:PATH", "folder:PATH" or "shapes"; options as `?key=value,key=value` behind a path, as
            `:key=value,key=value` behind "shapes".

    Raises:
        SettingError: unknown scheme or option, or a value of the wrong type.
        DataError: the data set itself is wrong.

    Example:
        >>> len(open_dataset("shapes:images=12,size=64"))
        12
    """
    if isinstance(spec, Dataset):
        return spec
    forms = ", ".join(dataset_forms())
    if not isinstance(spec, str):
        raise SettingError(f"expected a data set or its name ({forms}), got {type(spec).__name__}.")
    scheme, colon, rest = spec.partition(":")
    if not colon:
        scheme, _, rest = spec.partition("?")
    if scheme not in _READERS:
        is_folder = Path(spec).expanduser().is_dir()
        hint = f' For this folder write "broden:{spec}" or "folder:{spec}".' if is_folder else ""
        raise SettingError(f"unknown data set {spec!r}; expected {forms}{nearest(scheme, _READERS)}.{hint}")
    reader = _READERS[scheme]
    make: Callable[..., Dataset] = reader.make()
    if not reader.has_path:
        return make(**_parse_options(rest.removeprefix("?"), reader, spec))
    match = (_OPTIONS_TO_THE_END if reader.last else _OPTIONS_BEHIND_PATH).fullmatch(rest)
    path, options = match.groups() if match else (rest, "")
    if not path:
        raise SettingError(f"{spec!r} names no folder; expected {reader.form}.")
    _check_path(path, spec)
    return make(path, **_parse_options(options, reader, spec))


def _check_path(path: str, spec: str) -> None:
    """See that a path is one, whatever lies there."""
    if "\0" in path:
        raise SettingError(f"{spec!r} holds a NUL character; expected a path.")
    try:
        Path(path).expanduser()
    except RuntimeError as error:  # ~nobody/data
        raise SettingError(
            f"{spec!r} begins with the home of nobody here ({error}). Write the whole path."
        ) from error


def dataset_forms() -> tuple[str, ...]:
    """How the data sets are written that can be opened by name."""
    return tuple(reader.form for reader in _READERS.values())


def has_path(spec: str) -> bool:
    """Whether a name is that of files, by its scheme.

    >>> has_path("broden:/data/broden1_224"), has_path("shapes:images=3")
    (True, False)
    """
    scheme = spec.partition(":")[0].partition("?")[0]
    return scheme in _READERS and _READERS[scheme].has_path


def _parse_options(text: str, reader: _Reader, spec: str) -> dict[str, Any]:
    known, options = reader.options(), dict[str, Any]()
    if reader.last:
        before, found, value = f",{text}".partition(f",{reader.last}=")
        text = before.removeprefix(",")
        options |= {reader.last: value} if found else {}
    for item in text.split(",") if text else []:
        key, equals, value = item.partition("=")
        if not equals or key not in known:
            raise SettingError(
                f"unknown option {item!r} in {spec!r}; expected key=value with {', '.join(known)}"
                f"{nearest(key, known)}."
            )
        if key in options:
            raise SettingError(f"option {key!r} comes twice in {spec!r}.")
        options[key] = _value(known[key], value, f"option {key!r} in {spec!r}")
    return options


def _value(kind: type, text: str, what: str) -> Any:
    if kind is bool:
        if text not in ("yes", "no"):
            raise SettingError(f"{what} is {text!r}; expected yes or no.")
        return text == "yes"
    if kind is int and not re.fullmatch(r"[0-9]{1,18}", text):
        raise SettingError(f"{what} is {text!r}; expected a whole number.")
    if kind is float and not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        raise SettingError(f"{what} is {text!r}; expected a number such as 0.5.")
    return kind(text)
