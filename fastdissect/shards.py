"""Shards: which images of a data set each of several processes or machines runs.

A shard is a run of whole batches of the global order: a network's own arithmetic may depend on the batch. Its quantile's
rank is that of the whole set: a shard's own would give a bound above the final threshold.

    images   0 ........ 60 ......... 130 ........ 200      batches of 10, shard 2/3: images 60 to 129
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fastdissect.errors import SettingError

__all__ = ["Shard", "parse_shard"]


@dataclass(frozen=True)
class Shard:
    """One of `count` shards.

    Attributes:
        number: from 1 to count.
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise SettingError(
                f"expected a shard such as 3/16, the third of sixteen; got {self.number}/{self.count}"
            )

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def folder(self) -> str:
        """The name of its folder; by name they are in the images' order.

        >>> Shard(3, 16).folder
        '03-of-16'
        """
        return f"{self.number:0{len(str(self.count))}d}-of-{self.count}"

    def images(self, total: int, batch: int) -> tuple[int, int]:
        """The first of its images, and the one after its last.

        Raises:
            SettingError: there are fewer batches than shards.

        >>> Shard(2, 3).images(200, 10)
        (60, 130)
        """
        batches = -(-total // batch)
        if batches < self.count:
            raise SettingError(
                f"expected at most as many shards as batches; got {self.count} shards of {total} images in batches of "
                f"{batch} ({batches} batches); take fewer shards or a smaller --batch-size"
            )
        first, last = ((k * batches // self.count) * batch for k in (self.number - 1, self.number))
        return first, min(last, total)


def parse_shard(text: str) -> Shard:
    """Read "3/16".

    Raises:
        SettingError: anything else.

    >>> parse_shard("3/16")
    Shard(number=3, count=16)
    """
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text.strip())
    if found is None:
        raise SettingError(f"expected a shard such as 3/16, the third of sixteen; got {text!r}")
    return Shard(int(found[1]), int(found[2]))
