"""Chance level: what random pairings of masks and labels give, and how far scores and labels would move.

masks.py planes.py         a layer's masks, a run's planes      -> packed words
permuting.py level.py      random permutations of the images    -> p, q, the calibrated cut
moments.py pairs.py        one unit and one concept, all permutations at once, in closed form
by_image.py resampling.py splits.py train_val.py               -> intervals, stability, train against val
study.py cut.py            all of it for one layer; the same run under another cut
"""

from __future__ import annotations

from fastdissect.methods.chance.by_image import ImageCounts, image_counts
from fastdissect.methods.chance.cut import read_cuts, with_cut, write_cuts
from fastdissect.methods.chance.level import ChanceLevel, ChanceSummary, chance_level
from fastdissect.methods.chance.masks import unit_masks
from fastdissect.methods.chance.pairs import PairChance, pair_chance
from fastdissect.methods.chance.permuting import Laid
from fastdissect.methods.chance.planes import planes_of, run_images
from fastdissect.methods.chance.resampling import Bootstrap, bootstrap
from fastdissect.methods.chance.splits import Splits, splits_of
from fastdissect.methods.chance.study import LayerChance, layer_chance
from fastdissect.methods.chance.train_val import held_out

__all__ = [
    "Bootstrap",
    "ChanceLevel",
    "ChanceSummary",
    "ImageCounts",
    "Laid",
    "LayerChance",
    "PairChance",
    "Splits",
    "bootstrap",
    "chance_level",
    "held_out",
    "image_counts",
    "layer_chance",
    "pair_chance",
    "planes_of",
    "read_cuts",
    "run_images",
    "splits_of",
    "unit_masks",
    "with_cut",
    "write_cuts",
]
