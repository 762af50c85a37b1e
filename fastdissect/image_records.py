"""What the first pass writes down of each image: its content's digest, its files' stamp, its masks' planes, and
its means and maxima in every layer. All of it grows on disk, so that memory does not."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastdissect.batches import Batch, DatasetBatches
from fastdissect.caching import PlaneCache, pack_image
from fastdissect.errors import FastdissectError, OutputError
from fastdissect.packing import content_digest, join_planes
from fastdissect.plane_files import PlaneStore, PlaneWriter
from fastdissect.stamps import stamp_of
from fastdissect.streams import Stream
from fastdissect.types import Planes

__all__ = ["ImageRecords"]

AT_MOST = 10  # changed images that an error names


class ImageRecords:
    """Records of the images seen so far, in their order.

    Args:
        folder: of the unfinished run.
        units: {layer: units} of the layers whose means and maxima are kept.
        rows: images of an interrupted run to go on after; 0: begin.
        index: of the planes that it had packed so far.
        whole: it had packed all of them. (With neither, they came from the cache.)
        first: number of the first image: a shard's.

    Raises:
        OutputError: a file of the interrupted run was cut, or an image or its masks have changed since.
    """

    def __init__(
        self,
        folder: Path,
        mask_size: tuple[int, int],
        cache: PlaneCache | None,
        units: Mapping[str, int],
        *,
        rows: int = 0,
        index: Planes | None = None,
        whole: bool = False,
        first: int = 0,
    ) -> None:
        self.folder, self.mask_size, self.cache, self.first = folder, mask_size, cache, first
        self.store: PlaneStore | None = None  # whole planes: of an earlier run, or finished
        self.writer: PlaneWriter | None = None
        self.means: dict[str, Stream] = {}
        self.maxima: dict[str, Stream] = {}
        with contextlib.ExitStack() as stack:  # closes what is open if the next cannot be opened

            def stream(path: Path, dtype: DTypeLike, shape: tuple[int, ...] = ()) -> Stream:
                opened = Stream(path, dtype, shape, rows)
                stack.callback(opened.close)
                return opened

            self._digests = stream(folder / "digests.raw", np.uint8, (16,))
            self._stamps = stream(folder / "stamps.raw", np.uint64)
            for number, (name, count) in enumerate(units.items()):
                own = folder / f"layer-{number}"
                self.means[name] = stream(own / "means.raw", np.float32, (count,))
                self.maxima[name] = stream(own / "maxima.raw", np.float32, (count,))
            if index is not None:
                self.writer = PlaneWriter(folder / "planes", mask_size, index)
            elif whole:
                self.store = PlaneStore(folder / "planes")
            else:
                self.store = None if cache is None else cache.find()
            if self.store is None and self.writer is None:
                self.writer = PlaneWriter(folder / "planes", mask_size)
                if rows:  # the planes came from the cache, and are no longer there
                    stack.callback(self.writer.close)
                    self._pack_again(rows)
            stack.pop_all()

    @property
    def images(self) -> int:
        return self._digests.rows

    @property
    def wants_planes(self) -> bool:
        """True while the masks must be packed."""
        return self.writer is not None

    def add(self, batch: Batch) -> None:
        """Write down the batch's images."""
        if self.store is not None:
            block = self.store.block(batch.first, batch.first + len(batch.images))
        else:
            assert self.writer is not None
            assert batch.planes is not None
            block = join_planes(batch.planes, self.mask_size)
            self.writer.add(block)
        self._digests.append(_digests(batch.digests, block))
        self._stamps.append(np.array(batch.stamps, np.uint64))

    def check_batch(self, batch: Batch) -> None:
        """Compare a batch that comes again, masks and all, with what was written down.

        Raises:
            OutputError: it is another one.
        """
        assert batch.planes is not None
        block = join_planes(batch.planes, self.mask_size)
        at = batch.first - self.first
        old = self._digests.read()[at : at + len(batch.images)]
        new = _digests(batch.digests, block)[: len(old)]
        changed = np.flatnonzero((old != new).any(1)) + batch.first
        if len(changed):
            raise self._changed([f"{i:08d}" for i in changed[:AT_MOST].tolist()])

    def check_files(self, source: DatasetBatches) -> None:
        """Read the images again whose files may have changed since they were run.

        Raises:
            OutputError: the content of an image or its masks is another one; names at most ten.
        """
        digests, changed = self._digests.read(), []
        for index, stamp in enumerate(self._stamps.read().tolist(), self.first):
            digest = digests[index - self.first]
            if stamp_of(source.dataset, index) != stamp and not _is_same(source, index, digest):
                changed.append(source.image_name(index))
                if len(changed) == AT_MOST:
                    break
        if changed:
            raise self._changed(changed)

    def _changed(self, names: list[str]) -> OutputError:
        return OutputError(
            f"{self.folder.parent} belongs to another run; these images or their masks have changed since: "
            f"{', '.join(names)}; choose another folder, or --fresh to move it aside and begin again"
        )

    def _pack_again(self, rows: int) -> None:
        """Pack the masks of the images that were run; their content is checked on the way."""
        assert self.cache is not None
        assert self.writer is not None
        source, digests = self.cache.source, self._digests.read()
        for index in range(self.first, self.first + rows):
            try:
                digest, planes = pack_image(source, index)
            except FastdissectError as error:
                raise self._changed([source.image_name(index)]) from error
            if content_digest(digest, planes, 0) != digests[index - self.first].tobytes():
                raise self._changed([source.image_name(index)])
            self.writer.add(planes)
        if rows == source.images:
            self.finish()

    def finish(self) -> None:
        """End the first pass: the planes are whole, and are kept in the cache."""
        if self.writer is None:
            return
        self.store, self.writer = self.writer.finish(), None
        if self.cache is not None and len(self.store) == self.cache.source.images:  # not of a shard
            self.cache.keep(self.store, self._stamps.read())

    @property
    def whole(self) -> bool:
        """True if all planes lie in the run's own folder."""
        return self.store is not None and self.store.folder == self.folder / "planes"

    def sync(self) -> Planes | None:
        """Make all of it last; returns the index of the planes packed so far, if they are not whole."""
        for stream in self._streams():
            stream.sync()
        if self.writer is None:
            return None
        self.writer.sync()
        return self.writer.index()

    def planes(self, first: int, last: int) -> Planes:
        """Planes of images first ... last - 1, after `finish`; of a shard, counted from its first image."""
        assert self.store is not None
        shift = 0 if self.whole else self.first
        return self.store.block(first + shift, last + shift)

    def kept(self, layer: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Means and maxima of a layer, [images, units], mapped from their files; no more can be added."""
        return self.means[layer].close(), self.maxima[layer].close()

    def close(self) -> None:
        """Close all files, also where one of them cannot be written any more."""
        with contextlib.ExitStack() as stack:
            for stream in self._streams():
                stack.callback(stream.close)
            if self.writer is not None:
                stack.callback(self.writer.close)
            self.store = None  # its planes are mapped: Windows removes no folder with mapped files

    def _streams(self) -> tuple[Stream, ...]:
        return self._digests, self._stamps, *self.means.values(), *self.maxima.values()


def _digests(images: tuple[str, ...], planes: Planes) -> NDArray[np.uint8]:
    """[n, 16]: the content digests of a block's images."""
    whole = b"".join(content_digest(digest, planes, i) for i, digest in enumerate(images))
    return np.frombuffer(whole, np.uint8).reshape(-1, 16)


def _is_same(source: DatasetBatches, index: int, digest: NDArray[np.uint8]) -> bool:
    try:
        image, planes = pack_image(source, index)
    except FastdissectError:
        return False  # it can no longer be read
    return content_digest(image, planes, 0) == digest.tobytes()
