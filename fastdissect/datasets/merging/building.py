"""`merge_datasets`: from data sets and options to a merged set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fastdissect.datasets.merging.counting import count_labels, select_labels
from fastdissect.datasets.merging.merged import Merged
from fastdissect.datasets.merging.options import BRODEN, MergeOptions, read_synonyms
from fastdissect.datasets.merging.unifying import Unified, UnifiedLabel, unify
from fastdissect.datasets.opening import has_path, open_dataset
from fastdissect.datasets.protocol import Dataset
from fastdissect.datasets.vocabulary import MAX_LABEL
from fastdissect.errors import DataError, SettingError

__all__ = ["decide", "merge_datasets", "opened"]


def merge_datasets(
    datasets: Sequence[str | Dataset],
    *,
    recipe: str | None = None,
    synonyms: Mapping[str, str] | str | Path | None = None,
    categories: Mapping[str, str] | None = None,
    across_categories: bool | None = None,
    broden_names: bool | None = None,
    min_images: int | None = None,
    min_coverage: float | None = None,
    by_frequency: bool | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Merged:
    """Merge data sets into one that is used at once; nothing is copied.

    Labels are unified by name (`merging.folding`), and by the synonyms that the sets list. What is not given is off,
    or as the recipe has it. Without filters and numbering by frequency no mask is read.

    Args:
        datasets: two or more data sets, or their names; one alone is renumbered and filtered.
        recipe: "broden": labels are one across categories, scenes end in "-s" and colours in "-c", labels in fewer
            than 10 images or with a coverage below 0.5 are left out, numbers go by frequency.
        synonyms: {other name: name}, or a table name,synonym, beside those of the sets.
        categories: {category of a set: category to merge it into}.
        across_categories, broden_names, min_images, min_coverage, by_frequency: see `MergeOptions`.
        progress: called with (images done, images) while labels are counted.

    Raises:
        SettingError: no data set, one given twice, an unknown recipe or category, or a filter below 0.
        DataError: a set cannot be read, no label stays, or more than 65,535 do.

    Example:
        >>> from fastdissect.datasets import Shapes
        >>> both = merge_datasets([Shapes(5, size=16), Shapes(3, size=16, seed=1)])
        >>> len(both), len(both.concepts), both.image_name(5)
        (8, 61, 'shapes-2/shapes/1_00000000.png')
    """
    if recipe not in (None, "broden"):
        raise SettingError(f"unknown recipe {recipe!r}; expected broden or none.")
    given = {
        "across_categories": across_categories,
        "broden_names": broden_names,
        "min_images": min_images,
        "min_coverage": min_coverage,
        "by_frequency": by_frequency,
    }
    base = (BRODEN if recipe else MergeOptions()).record()
    table = read_synonyms(synonyms) if isinstance(synonyms, (str, Path)) else dict(synonyms or {})
    base |= {name: value for name, value in given.items() if value is not None}
    options = MergeOptions(**{**base, "synonyms": table, "categories": dict(categories or {})})
    sets = opened(datasets)
    return Merged(sets, *decide(sets, options, progress), options)


def opened(datasets: Sequence[str | Dataset]) -> list[Dataset]:
    """Open data sets, each once.

    Raises:
        SettingError: none, or one twice.
    """
    if isinstance(datasets, (str, Dataset)) or not datasets:
        raise SettingError("expected a list of data sets or their names, at least one.")
    found = [open_dataset(data) for data in datasets]
    names = [_place(data.name) for data in found]
    for name in names:
        if names.count(name) > 1:
            raise SettingError(f"{name} is given twice; its images would count twice. Give each set once.")
    return found


def _place(name: str) -> str:
    """A set's name with the place that its path leads to: a link and "a/../a" are one set."""
    scheme, _, rest = name.partition(":")
    path, question, options = rest.partition("?")
    return f"{scheme}:{Path(path).resolve()}{question}{options}" if has_path(name) else name


def decide(
    sets: Sequence[Dataset], options: MergeOptions, progress: Callable[[int, int], None] | None = None
) -> tuple[Unified, Sequence[UnifiedLabel], tuple[str, ...]]:
    """Unify labels, and choose and order those that stay; counts them where the options need it.

    Returns:
        All unified labels, those that stay in the order of their numbers, and the categories that stay.

    Raises:
        DataError: more than 65,535 labels stay, or none.
    """
    unified = unify(sets, options)
    labels: Sequence[UnifiedLabel] = unified.labels
    categories = unified.categories
    if options.counts:
        whole = Merged(sets, unified, labels, categories, options)
        labels, categories = select_labels(unified.labels, count_labels(whole, progress), options)
    if len(labels) > MAX_LABEL:
        raise DataError(
            f"the merged set has {len(labels):,} labels; masks hold numbers up to {MAX_LABEL:,}. Leave rare ones "
            "out (min_images, min_coverage), or merge fewer sets."
        )
    return unified, labels, categories
