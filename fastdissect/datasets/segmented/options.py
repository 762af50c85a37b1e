"""What a segmenter can be told, checked once."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fastdissect.errors import SettingError, nearest

__all__ = ["TASKS", "SegmenterOptions", "check_whole", "options_from", "resolved"]

TASKS = ("semantic", "panoptic", "instance")


@dataclass(frozen=True)
class SegmenterOptions:
    """Options of `open_segmenter`; None: the family's own default.

    Attributes:
        cut: confidence above which a label counts, 0 to 1.
        task: "semantic", "panoptic" or "instance", of models that do several.
        prompts: what an open-vocabulary model looks for.
        void: labels that count as none.
        category: of all labels.
        masks: for a detector: the model that turns its boxes into masks.
        device: "auto": CUDA, else MPS, else the CPU.
        download: let the library download what is not in its cache.
    """

    cut: float | None = None
    task: str | None = None
    prompts: tuple[str, ...] = ()
    void: tuple[str, ...] = ()
    category: str = "object"
    masks: str | None = None
    device: str = "auto"
    download: bool = False

    def __post_init__(self) -> None:
        if self.cut is not None and not 0 <= self.cut <= 1:
            raise SettingError(f"cut is {self.cut!r}; expected a confidence from 0 to 1, such as 0.5.")
        if self.task is not None and self.task not in TASKS:
            raise SettingError(
                f"task is {self.task!r}; expected one of {', '.join(TASKS)}{nearest(self.task, TASKS)}."
            )
        if not self.category:
            raise SettingError("category is empty; expected a word such as object.")
        for name, words in (("prompts", self.prompts), ("void", self.void)):
            if any(not word.strip() for word in words) or len(set(words)) < len(words):
                raise SettingError(
                    f"{name} are {';'.join(words)!r}; expected words with a semicolon between, each once."
                )

    def record(self) -> dict[str, Any]:
        """Those that labels depend on; JSON."""
        found = asdict(self)
        del found["device"], found["download"]
        return {key: list(value) if isinstance(value, tuple) else value for key, value in found.items()}


def options_from(prompts: str, void: str, masks: str | None, **given: Any) -> SegmenterOptions:
    """Options as they are written in a data set's name: words with semicolons between.

    >>> options_from("cat; a dog", "", None, cut=0.5).prompts
    ('cat', 'a dog')
    """
    words = [tuple(w.strip() for w in text.split(";")) if text else () for text in (prompts, void)]
    return SegmenterOptions(
        prompts=words[0], void=words[1], masks=None if masks is None else resolved(masks), **given
    )


def resolved(name: str) -> str:
    """A model's folder as an absolute path, or its name in the cache as it is."""
    folder = Path(name).expanduser()
    return str(folder.resolve()) if folder.is_dir() else name


def check_whole(name: str, value: object, low: int, high: int) -> None:
    """Raises SettingError unless it is a whole number from low to high."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise SettingError(f"{name} is {value!r}; expected a whole number from {low} to {high}.")
