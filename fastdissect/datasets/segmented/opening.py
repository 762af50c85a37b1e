"""From a model's name to its family."""

from __future__ import annotations

from pathlib import Path

from fastdissect.datasets.segmented.grounded import Grounded
from fastdissect.datasets.segmented.library import from_library
from fastdissect.datasets.segmented.options import SegmenterOptions, resolved
from fastdissect.datasets.segmented.pretrained import Pretrained
from fastdissect.datasets.segmented.prompted import Prompted
from fastdissect.datasets.segmented.queries import Queries
from fastdissect.datasets.segmented.resizing import read_processor
from fastdissect.datasets.segmented.semantic import Semantic
from fastdissect.errors import ModelError

__all__ = ["open_segmenter"]

# A class of transformers belongs to the first family whose words its name holds.
_FAMILIES: tuple[tuple[tuple[str, ...], type[Pretrained]], ...] = (
    (("CLIPSegForImageSegmentation",), Prompted),
    (("GroundingDinoForObjectDetection",), Grounded),
    (("ForUniversalSegmentation", "MaskFormerForInstanceSegmentation"), Queries),
    (("ForSemanticSegmentation",), Semantic),
)


def open_segmenter(name: str, options: SegmenterOptions | None = None) -> Pretrained:
    """Open a segmenter of transformers: its configuration now, its weights when they are needed.

    Args:
        name: a model's folder, or its name in the library's cache.

    Raises:
        BackendError: the library is missing.
        ModelError: no such model, or none that segments.
        SettingError: options that do not fit its family.
    """
    options = options or SegmenterOptions()
    name = resolved(name)
    if Path(name).is_file():
        raise ModelError(
            f"segmenter {name!r}: expected a model's folder; got a file; give the folder that it is in"
        )
    config = from_library("AutoConfig", name, options.download)
    kind = next(iter(config.architectures or ()), "")
    family = next((own for words, own in _FAMILIES if any(word in kind for word in words)), None)
    if family is None:
        raise ModelError(
            f"segmenter {name!r}: expected a model that segments (a class ...ForSemanticSegmentation, "
            f"...ForUniversalSegmentation, CLIPSegForImageSegmentation or GroundingDinoForObjectDetection); got "
            f"{kind or type(config).__name__}"
        )
    return family(name, kind, config, read_processor(name, options.download), options)
