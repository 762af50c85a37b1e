"""Data sets whose labels a segmenter makes while they are dissected."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from dissect_cases import LAYERS, PLAIN, Net, as_dense, assert_is, dissect_plainly, gather, same_results
from segmenter_cases import COLOURS, Colours, patches, write_images

import fastdissect as fd
from fastdissect.batches import DatasetBatches
from fastdissect.conventions import profile
from fastdissect.datasets import check_dataset, resize_labels
from fastdissect.datasets.labelled import LabelledImages
from fastdissect.datasets.segmented.dataset import Segmented
from fastdissect.datasets.segmented.images import PlainImages
from fastdissect.datasets.segmented.network_labels import map_size
from fastdissect.errors import DataError, SettingError
from fastdissect.masks import image_planes
from fastdissect.packing import ImagePlanes, columns_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eleven images of 48 x 64 pixels."""
    return write_images(tmp_path / "images", patches(11)[0][:, :48])


def source_of(data, batch_size: int, workers: int = 0) -> DatasetBatches:
    return DatasetBatches(
        data, PLAIN, (32, 32), (24, 32), columns_of(data.concepts),
        once=True, batch_size=batch_size, workers=workers, images=len(data),
    )  # fmt: skip


def same_planes(one: ImagePlanes, two: ImagePlanes) -> None:
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


def test_labels_are_the_planted_ones(folder: Path) -> None:
    data = Segmented(Colours(), folder)
    _, planted = patches(11)
    for index in (0, 10, 4):
        first, dark = data.read_labels(index)
        np.testing.assert_array_equal(first.labels, planted[index, :48] + 1)
        assert set(np.unique(dark.labels)) <= {0, 5}
    assert [data.image_name(i) for i in (0, 10)] == ["000.png", "010.png"]
    assert data.files(3) == (folder / "003.png",)
    assert check_dataset(data).ok


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("batch_size", [3, 4, 32])
def test_blocks_do_not_depend_on_who_asks(folder: Path, batch_size: int, workers: int) -> None:
    """The segmenter always sees images 0-3, 4-7, 8-10, each once in a pass, whatever the run's own batches are."""
    segmenter = Colours()
    data = Segmented(segmenter, folder, batch=4, side=32)
    source = source_of(data, batch_size, workers)
    found = [planes for batch in source.batches(0, True) for planes in batch.planes or ()]
    assert segmenter.batches == [4, 4, 3]
    plain = Segmented(Colours(), folder, batch=4, side=32)
    for index in range(11):
        expected = image_planes(plain.read_labels(index), source.columns, (24, 32), once=True)
        same_planes(found[index], expected)
    assert all(batch.planes is None for batch in source.batches(0, False))
    assert segmenter.batches == [4, 4, 3]


def test_a_pass_that_goes_on_sees_the_same(folder: Path) -> None:
    data = Segmented(Colours(), folder, batch=4)
    source = source_of(data, 3)
    whole = [planes for batch in source.batches(0, True) for planes in batch.planes or ()]
    rest = [planes for batch in source_of(data, 3).batches(6, True) for planes in batch.planes or ()]
    assert len(rest) == 5
    for one, two in zip(whole[6:], rest, strict=True):
        same_planes(one, two)


def test_some_images_of_it_keep_their_labels(folder: Path) -> None:
    data = Segmented(Colours(), folder, batch=4)
    some = source_of(data, 2).only(np.array([9, 2, 5]))
    found = [planes for batch in some.batches(0, True) for planes in batch.planes or ()]
    for planes, index in zip(found, (9, 2, 5), strict=True):
        expected = image_planes(data.read_labels(index), some.columns, some.mask_size, once=True)
        same_planes(planes, expected)
    assert isinstance(some.dataset, LabelledImages)


def test_a_dissection_is_that_of_the_same_labels_on_disk(folder: Path) -> None:
    """Against the plain computation, labels read one by one."""
    data, net = Segmented(Colours(), folder, batch=4), Net().eval()
    d = fd.dissect(
        net,
        data,
        LAYERS,
        size=32,
        mask_size=(24, 32),
        quantile=0.05,
        preprocessing=PLAIN,
        batch_size=5,
        cache=None,
    )
    found = gather(net, data, LAYERS, 5, (32, 32))
    for name in LAYERS:
        plain = dissect_plainly(
            as_dense(found[name]), data, profile("netdissect", quantile=0.05), d[name].upsampling
        )
        assert_is(d[name], plain)


def test_a_second_run_does_not_segment_again(folder: Path, tmp_path: Path) -> None:
    options = {"size": 32, "quantile": 0.05, "batch_size": 5, "cache": tmp_path / "cache", "workers": 1}
    first, second = Colours(), Colours()
    one = fd.dissect(Net(), Segmented(first, folder, batch=4), LAYERS, out=tmp_path / "one", **options)
    two = fd.dissect(Net(), Segmented(second, folder, batch=4), LAYERS, out=tmp_path / "two", **options)
    assert (sum(first.batches), second.batches) == (11, [])
    same_results(one, two)
    third = Colours()
    fd.dissect(Net(), Segmented(third, folder, batch=3), LAYERS, **options)  # another block is another set
    assert sum(third.batches) == 11


def test_an_image_that_changed_is_segmented_again(folder: Path, tmp_path: Path) -> None:
    options = {"size": 32, "cache": tmp_path / "cache", "workers": 0}
    fd.dissect(Net(), Segmented(Colours(), folder), "first", **options)
    write_images(folder, [255 - patches(1)[0][0][:48]])
    again = Colours()
    fd.dissect(Net(), Segmented(again, folder), "first", **options)
    assert sum(again.batches) >= 11


def test_workers_are_refused_what_only_the_run_can_do(folder: Path) -> None:
    loader = torch.utils.data.DataLoader(
        Reading(Segmented(Colours(), folder)), num_workers=1, collate_fn=list
    )
    assert next(iter(loader)) == ["DataError: read in the main process"]


class Reading(torch.utils.data.Dataset):
    def __init__(self, data: Segmented) -> None:
        self.data = data

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> str:
        try:
            return str(self.data.read_labels(index))
        except DataError as error:
            return f"DataError: {'read in the main process' if 'read in the main process' in str(error) else error}"


def test_it_travels_without_its_memory(folder: Path) -> None:
    data = Segmented(Colours(), folder)
    data.read_labels(0)
    copy = pickle.loads(pickle.dumps(data))
    assert copy._last is None
    assert copy.fingerprint() == data.fingerprint()


def test_the_fingerprint_is_of_content(folder: Path, tmp_path: Path) -> None:
    own = Segmented(Colours(), folder).fingerprint()
    moved = folder.rename(tmp_path / "elsewhere")
    assert Segmented(Colours(), moved).fingerprint() == own
    for options in ({"batch": 3}, {"side": 16}):
        assert Segmented(Colours(), moved, **options).fingerprint() != own
    (moved / "010.png").unlink()
    assert Segmented(Colours(), moved).fingerprint() != own


def test_images_of_another_set_lose_their_labels() -> None:
    data = Segmented(Colours(), "shapes:images=5,size=32")
    assert (len(data), data.concepts.names) == (5, (*COLOURS, "dark"))
    assert data.image_size() == (32, 32)
    assert data.name == "segmenter:colours?images=shapes:images=5,size=32,seed=0"
    assert data.read_image(2)[1] == fd.datasets.open_dataset("shapes:images=5,size=32").read_image(2)[1]


def test_any_image_below_a_folder_counts(tmp_path: Path) -> None:
    image = patches(1)[0][0]
    for name in ("b", "a/deep", ".hidden", "a/.git"):
        write_images(tmp_path / name, [image])
    (tmp_path / "notes.txt").write_text("none")
    (tmp_path / "b" / ".000.png").write_bytes(b"a thumbnail")
    found = PlainImages(tmp_path)
    assert [found.image_name(i) for i in range(len(found))] == ["a/deep/000.png", "b/000.png"]
    assert found.read_labels(0) == ()


def test_label_maps_keep_the_aspect_and_rows_their_place() -> None:
    for size in ((400, 600), (1, 999), (37, 255), (256, 256), (5000, 3)):
        found = map_size(size, 256)
        assert max(found) == min(256, max(size))
        assert abs(found[0] / found[1] - size[0] / size[1]) * min(found) <= max(1, size[0] / size[1])
    column = np.arange(48)[:, None].repeat(64, 1)
    np.testing.assert_array_equal(resize_labels(column, (24, 32))[:, 0], np.arange(1, 48, 2))


class Wrong(Colours):
    """A segmenter whose maps do not fit."""

    def __init__(self, wrong: str) -> None:
        super().__init__()
        self.wrong = wrong

    def segment(self, images, sizes):
        found = super().segment(images, sizes)
        if self.wrong == "size":
            return super().segment(images, [(height, width + 1) for height, width in sizes])
        return found[1:] if self.wrong == "number" else [*found[:-1], ()]


@pytest.mark.parametrize("wrong", ["size", "number", "nothing"])
def test_a_segmenter_s_maps_must_fit(folder: Path, wrong: str) -> None:
    with pytest.raises(DataError, match=r"'colours': expected for each of 8 images at least one label map"):
        Segmented(Wrong(wrong), folder).read_labels(0)


def test_bad_input(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"expected images with a segmenter.*images=FOLDER"):
        Segmented(Colours())
    with pytest.raises(DataError, match=r"nowhere.*expected a folder of images"):
        Segmented(Colours(), tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="expected at least one image below"):
        Segmented(Colours(), tmp_path / "empty")
    with pytest.raises(SettingError, match="a Segmenter has its own"):
        Segmented(Colours(), folder, cut=0.5)
    for name in ("batch", "side"):
        with pytest.raises(SettingError, match=f"{name} is 0"):
            Segmented(Colours(), folder, **{name: 0})
    (folder / "004.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"004\.png"):
        fd.dissect(Net(), Segmented(Colours(), folder), "first", size=32, cache=None)
