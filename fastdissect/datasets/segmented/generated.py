"""`generator:segmenter=MODEL,z=128`: images that the dissected network itself makes, labelled by a segmenter.

Source: Bau, Zhu, Strobelt, Zhou, Tenenbaum, Freeman, Torralba, "GAN Dissection", ICLR 2019: a generator's units against
a segmenter's masks of what was generated.
"""

from __future__ import annotations

import copy
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fastdissect.datasets.segmented.dataset import as_segmenter
from fastdissect.datasets.segmented.options import SegmenterOptions, check_whole, options_from
from fastdissect.datasets.segmented.samples import Samples
from fastdissect.datasets.segmented.segmenter import Segmenter
from fastdissect.datasets.segmented.weights import state_digest
from fastdissect.errors import DataError, SettingError

__all__ = ["Generated", "is_generated", "with_network"]

_SHAPE = re.compile(r"[1-9][0-9]{0,8}(x[1-9][0-9]{0,8})*")
_MOST = 1 << 27  # numbers of a sample: half a gigabyte
_NUMBER = r"(-?[0-9]{1,6}(?:\.[0-9]{1,6})?)"
_RANGE = re.compile(rf"{_NUMBER}\.\.{_NUMBER}")


class Generated(Samples):
    """Images that a network makes of standard normal samples; sample i depends on the seed and i alone.

    The network is the one that is dissected: `dissect` binds it (`of`). Its input is [n, *z], its output the images.

    Args:
        segmenter: labels the images: a model's folder or name, as `Segmented` takes it, or a `Segmenter`.
        z: numbers of a sample; "512x1x1" for a network whose input is [n, 512, 1, 1].
        images: how many. seed: another seed gives other samples.
        range: the network's values of black and white: "-1..1" or "0..1".
        batch: samples that the network and the segmenter get at a time, for the labels.
        side, cut, task, prompts, void, category, masks, device, download: as of `Segmented`.

    Raises:
        SettingError: an option out of range. BackendError, ModelError: as `Segmented`.

    Example:
        >>> data = Generated("segformer-b0", z="512", images=2000)                         # doctest: +SKIP
        >>> fd.dissect(generator, data, "layer4")                                          # doctest: +SKIP
    """

    network: nn.Module | None = None

    def __init__(
        self,
        segmenter: str | Path | Segmenter = "",
        z: str | int = "128",
        images: int = 1000,
        seed: int = 0,
        range: str = "-1..1",
        batch: int = 8,
        side: int = 256,
        cut: float | None = None,
        task: str | None = None,
        prompts: str = "",
        void: str = "",
        category: str = "object",
        masks: str | None = None,
        device: str = "auto",
        download: bool = False,
    ) -> None:
        if segmenter == "":
            raise SettingError(
                "expected a segmenter with a generator: generator:segmenter=MODEL,z=128; it labels what is made."
            )
        if not _SHAPE.fullmatch(str(z)) or math.prod(int(n) for n in str(z).split("x")) > _MOST:
            raise SettingError(
                f"z is {z!r}; expected how many numbers a sample has (at most {_MOST:,}), such as 128 or 512x1x1."
            )
        check_whole("seed", seed, 0, 2**63 - 1)
        span = _RANGE.fullmatch(range)
        if not span or not float(span[1]) < float(span[2]):
            raise SettingError(f"range is {range!r}; expected the values of black and white, such as -1..1.")
        options = options_from(
            prompts, void, masks, cut=cut, task=task, category=category, device=device, download=download
        )
        self.z, self.seed = tuple(int(n) for n in str(z).split("x")), seed
        super().__init__(
            as_segmenter(segmenter, options),
            self._drawn,
            self._made,
            images,
            content="standard normal",
            span=(float(span[1]), float(span[2])),
            batch=batch,
            side=side,
        )
        given: dict[str, Any] = {"segmenter": self.segmenter.name, "z": z, "images": images, "seed": seed}
        defaults = {**vars(SegmenterOptions()), "range": "-1..1", "batch": 8, "side": 256}
        chosen = {**vars(options), "range": range, "batch": batch, "side": side}
        given |= {key: value for key, value in chosen.items() if value != defaults[key]}
        text = {
            k: ";".join(v) if isinstance(v, tuple) else "yes" if v is True else v for k, v in given.items()
        }
        self.name = "generator:" + ",".join(f"{key}={value}" for key, value in text.items())

    def of(self, network: nn.Module) -> Generated:
        """The same, made by this network, which is put into eval mode."""
        bound = copy.copy(self)
        bound.network, bound._last, bound._pictures = network.eval(), None, None
        bound.inputs, bound.image_of = bound._drawn, bound._made
        return bound

    def image_name(self, index: int) -> str:
        return f"generated/{self.seed}_{self._checked(index):08d}.png"

    def content(self) -> str:
        return f"normal {self.z} {self.seed} {state_digest(self._bound())}"

    def _drawn(self, index: int) -> NDArray[np.float32]:
        draws = np.random.Generator(np.random.PCG64([self.seed, index]))
        return draws.standard_normal(self.z, np.float32)

    def _made(self, samples: torch.Tensor) -> Any:
        network = self._bound()
        place = next(network.parameters(), samples)
        dtype = next((p.dtype for p in network.parameters() if p.is_floating_point()), torch.float32)
        try:
            return network(samples.to(place.device, dtype))
        except (RuntimeError, TypeError, ValueError, IndexError, AssertionError) as error:
            raise DataError(
                f"the generator fails on samples {list(samples.shape)}: {_first_line(error)}; give the shape that it wants "
                "(z=512x1x1 makes [n, 512, 1, 1])"
            ) from error

    def _bound(self) -> nn.Module:
        if self.network is None:
            raise DataError(
                f"{self.name}: its images are made by the network that is dissected, which is not known here; name it with "
                "`fastdissect run NETWORK generator:...`, or bind it with .of(network)"
            )
        return self.network


def is_generated(spec: Any) -> bool:
    """Whether a name is that of images which the dissected network makes.

    >>> is_generated("generator:segmenter=here,z=64"), is_generated("shapes:images=3")
    (True, False)
    """
    return isinstance(spec, str) and spec.partition(":")[0].partition("?")[0] == "generator"


def with_network(data: Any, network: nn.Module) -> Any:
    """A data set whose images the dissected network makes, with that network; anything else as it is.

    Args:
        data: what `dissect` was given as data.
    """
    if is_generated(data):
        from fastdissect.datasets.opening import open_dataset  # which knows this module

        data = open_dataset(data)
    if isinstance(data, Generated) and data.network is None:
        return data.of(network)
    return data


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
