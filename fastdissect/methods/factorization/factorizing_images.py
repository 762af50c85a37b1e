"""New images onto fitted factors: the recorded network, layers and pools, and the loadings as they are."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdissect.datasets import Dataset
from fastdissect.errors import ModelError, OutputError, SettingError
from fastdissect.methods.explanation.images import Picture, open_pictures
from fastdissect.methods.factorization.gathering import gather
from fastdissect.methods.factorization.gathering_folder import ImageFolder, open_images
from fastdissect.methods.factorization.gathering_opening import open_gathering
from fastdissect.methods.factorization.gathering_plan import Gathering
from fastdissect.methods.factorization.projection import project
from fastdissect.methods.factorization.result import Factorization
from fastdissect.models import Preprocessing
from fastdissect.types import Concepts, LabelChannel

__all__ = ["Projected", "transform_images"]

_SCHEMES = ("folder", "broden", "shapes")


class Projected(NamedTuple):
    """New images as mixtures of fitted factors."""

    names: tuple[str, ...]
    mixtures: NDArray[np.float32]  # [images, rank], >= 0


def transform_images(
    f: Factorization, images: Any, *, model: Any = None, device: str = "auto", progress: bool | None = None
) -> Projected:
    """Find how much of each factor new images have.

    Args:
        f: from `factorize`: its record says which network, layers, pools and sizes.
        images: a file, a folder, an array uint8 [height, width, 3], several of these; or a data set or its name.
        model: the network, where the recorded name does not open it.

    Returns:
        Projected: names, and float32 [images, rank], in the units of `f.mixtures`.

    Raises:
        OutputError: the record does not say how the activations were gathered. ModelError: the network cannot be opened, or
            has other weights. DataError, SettingError: images that cannot be read.

    Example:
        >>> transform_images(f, "holiday.jpg").mixtures.argmax(1)                 # doctest: +SKIP
    """
    dataset = _dataset(images)
    opened = _reopened(f, dataset, model, device)
    with gather(opened, progress=progress) as gathered:
        return Projected(gathered.example_names, project(f, gathered.matrices, device=str(opened.device)))


def _reopened(f: Factorization, dataset: Dataset, model: Any, device: str) -> Gathering:
    record = f.record
    try:
        pools, side, rectify = dict(record["layers"]), record["pixels"], record["rectify"]
        size, weights, name = tuple(record["input size"]), record["weights"], record["model"]
        scale, interpolation = record["scale"], record["preprocessing"][2]
        layout = record["reading"][0]
    except (KeyError, TypeError, IndexError) as error:
        raise OutputError(
            f"expected a factorisation whose record says how its activations were gathered; it lacks {error}; gather the "
            "new images' features yourself and call project()"
        ) from error
    if scale is None or len(scale[0]) != 3:
        raise SettingError(
            "expected a factorisation of images whose colours and normalisation are known; its DataLoader's are not; call "
            "gather_matrices() on a loader of the new images, and project()"
        )
    preprocessing = Preprocessing(
        tuple(scale[0]), tuple(scale[1]), size, interpolation, source="the factorisation's record"
    )
    tokens = record["reading"][1]
    options: dict[str, Any] = {} if tokens is None else {"tokens": _tokens(tokens)}
    folder = Path(str(record.get("folder", "")))
    with contextlib.chdir(
        folder if model is None and folder.is_dir() else "."
    ):  # relative paths count from there
        try:
            opened = open_gathering(
                name if model is None else model, dataset, list(pools), pool=pools, pixels=side, rectify=rectify,
                device=device, preprocessing=preprocessing, masks=False, layout=layout, **options,
            )  # fmt: skip
        except ModelError as error:
            if model is not None:
                raise
            raise ModelError(
                f"the network {name!r} cannot be opened by this name: {error}; give the network itself (model=, --model "
                "SPEC)"
            ) from error
    if opened.loaded.weights_digest != weights:
        raise ModelError(
            f"expected the network that was factorised, {name!r} with weights {weights}; got {opened.loaded.name!r} with "
            f"{opened.loaded.weights_digest}; give the same weights, or factorise this network"
        )
    return opened


def _tokens(given: Any) -> Any:
    from fastdissect.models import TokenGrid

    return TokenGrid(given[0], None if given[1] is None else tuple(given[1]))


def _dataset(images: Any) -> Dataset:
    if isinstance(images, Dataset):
        return images
    if isinstance(images, str) and not images:
        raise SettingError("expected images as files, folders or arrays; got an empty name")
    if isinstance(images, str) and images.partition(":")[0] in _SCHEMES and not Path(images).exists():
        return open_images(images)
    if isinstance(images, str | Path) and Path(images).is_dir():
        return ImageFolder(images)  # read one by one, however many

    def none() -> Dataset:
        raise SettingError("expected images as files, folders or arrays; got a number")

    names, pictures = open_pictures(images, none)
    return _Pictures(names, list(pictures))


class _Pictures(Dataset):
    """Pictures in memory."""

    def __init__(self, names: list[str], pictures: list[Picture]) -> None:
        self.name, self._names, self._pictures = "new images", names, pictures
        self.concepts = Concepts(np.zeros(0, np.int64), (), np.zeros(0, np.int64), ())

    def __len__(self) -> int:
        return len(self._pictures)

    def image_name(self, index: int) -> str:
        return self._names[index]

    def read_image(self, index: int) -> tuple[NDArray[np.uint8], str]:
        pixels = self._pictures[index].pixels
        return pixels, hashlib.blake2b(pixels.tobytes(), digest_size=16).hexdigest()

    def read_labels(self, index: int) -> tuple[LabelChannel, ...]:
        del index
        return ()

    def files(self, index: int) -> tuple[Path, ...]:
        del index
        return ()

    def fingerprint(self) -> str:
        return hashlib.blake2b(
            "\0".join(self._names).encode(errors="surrogateescape"), digest_size=16
        ).hexdigest()
