"""Labels that a network makes on the fly: a segmenter over photographs, or over what a generator has made.

network_labels   a data set whose labels come from a network, block by block
dataset          "segmenter:MODEL?images=...": any images, labelled by a segmenter (images: a folder of them)
generated        "generator:segmenter=...": images that the dissected network makes itself (samples: its inputs)
segmenter        what a segmenter is; pretrained   one of transformers, by its name or folder (opening, library)
semantic, queries, prompted, grounded              a family each
options, label_names, resizing, loading, weights   what they share; pictured: tensors -> pictures
"""

from __future__ import annotations

__all__: list[str] = []
