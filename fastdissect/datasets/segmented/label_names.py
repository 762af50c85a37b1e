"""The vocabulary of a segmenter: its own label names, or the prompts that it is given."""

from __future__ import annotations

from typing import Any

from fastdissect.datasets.segmented.options import SegmenterOptions
from fastdissect.datasets.vocabulary import MAX_LABEL, make_concepts
from fastdissect.errors import DataError, SettingError
from fastdissect.types import Concepts

__all__ = ["concepts_of_labels", "concepts_of_prompts"]


def concepts_of_labels(name: str, config: Any, options: SegmenterOptions) -> Concepts:
    """Label number id + 1 for each entry of id2label, without those of `void`.

    Raises:
        DataError: more labels than numbers. SettingError: an unknown void label, or nothing is left.
    """
    found = {int(key): str(value) for key, value in config.id2label.items()}
    if not found or sorted(found) != list(range(len(found))):
        raise DataError(
            f"segmenter {name!r}: expected id2label to number its labels from 0; got {sorted(found)[:5]}; mend config.json"
        )
    if len(found) > MAX_LABEL:
        raise DataError(
            f"segmenter {name!r}: expected at most {MAX_LABEL:,} labels; its configuration has {len(found):,}"
        )
    for word in options.void:
        if word not in found.values():
            raise SettingError(f"void is {word!r}; expected a label of segmenter {name!r}.")
    kept = {key + 1: (value, 0) for key, value in found.items() if value not in options.void}
    if not kept:
        raise SettingError(f"void leaves no label of segmenter {name!r}; name fewer.")
    return make_concepts(kept, (options.category,))


def concepts_of_prompts(name: str, options: SegmenterOptions) -> Concepts:
    """Label number 1 for the first prompt, and so on."""
    if not options.prompts:
        raise SettingError(
            f"segmenter {name!r} labels what it is asked for; expected prompts, such as prompts=cat;dog."
        )
    if len(options.prompts) > MAX_LABEL:
        raise DataError(
            f"segmenter {name!r}: expected at most {MAX_LABEL:,} prompts; got {len(options.prompts):,}"
        )
    return make_concepts({i: (word, 0) for i, word in enumerate(options.prompts, 1)}, (options.category,))
