"""Several data sets as one, as Broden was made of four.

unifying     vocabularies -> one: names, synonyms and categories that mean the same
counting     how often each unified label occurs, for the filters and the numbering
merged       the sets as one data set, label numbers translated as they are read
building     `merge_datasets`: the steps above, one after the other
merged_file  the recipe of a merge as a file, opened as merged:FILE.json
accounting   merge.csv: what became of each label
"""

from __future__ import annotations

from fastdissect.datasets.merging.building import merge_datasets
from fastdissect.datasets.merging.merged import Merged
from fastdissect.datasets.merging.options import MergeOptions, read_synonyms

__all__ = ["MergeOptions", "Merged", "merge_datasets", "read_synonyms"]
