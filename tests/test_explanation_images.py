"""What can be explained: files of every mode and size, folders, arrays, numbers; and what cannot."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from explanation_cases import SIZE, Gap, dissected, pixels
from PIL import Image

from fastdissect.batches import network_input
from fastdissect.datasets import open_dataset
from fastdissect.errors import DataError, FastdissectError, SettingError
from fastdissect.methods.explanation import explain
from fastdissect.methods.explanation.images import Picture, open_pictures
from fastdissect.results import Dissection


def read(images: object) -> list[Picture]:
    names, pictures = open_pictures(images, lambda: open_dataset("shapes:images=5,size=16"))
    found = list(pictures)
    assert [picture.name for picture in found] == names
    return found


@pytest.fixture(scope="module")
def net() -> Gap:
    return Gap().eval()


@pytest.fixture(scope="module")
def d(net: Gap) -> Dissection:
    return dissected(net)


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        ("L", "grey.png"),
        ("1", "bits.png"),
        ("P", "palette.png"),
        ("RGBA", "alpha.png"),
        ("LA", "grey-alpha.png"),
        ("CMYK", "print.jpg"),
        ("I;16", "deep.png"),
        ("RGB", "plain.bmp"),
        ("RGB", "plain.webp"),
    ],
)
@pytest.mark.parametrize("size", [(1, 1), (47, 91), (32, 32)])
def test_images_of_any_mode_and_size(
    tmp_path: Path, net: Gap, d: Dissection, mode: str, name: str, size: tuple[int, int]
) -> None:
    height, width = size
    values = np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)
    if mode == "I;16":
        Image.fromarray(values[..., 0].astype(np.uint16) << 8).save(tmp_path / name)
    else:
        Image.fromarray(values).convert(mode).save(tmp_path / name)
    found = explain(d, tmp_path / name, model=net)[0]
    assert found.pixels.shape == (height, width, 3)
    assert found.pixels.dtype == np.uint8
    unit = found.views[0].shown[0]
    assert found.segmentation(unit).shape == (height, width)
    again = explain(d, found.pixels, model=net)[0]
    assert np.array_equal(found.logits, again.logits)


def test_the_picture_is_prepared_as_the_run_prepared_its_images(net: Gap, d: Dissection) -> None:
    import torch

    large = np.random.default_rng(0).integers(0, 256, (90, 50, 3), np.uint8)
    given = torch.from_numpy(network_input(large, Gap.preprocessing, SIZE))[None]
    expected = net(given).detach().numpy()[0]
    assert np.allclose(explain(d, large, model=net)[0].logits, expected, rtol=1e-6, atol=1e-6)


def test_orientation_tags_are_ignored_as_in_data_sets(tmp_path: Path) -> None:
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (8, 20, 3), np.uint8))
    tag = Image.Exif()
    tag[0x0112] = 6
    picture.save(tmp_path / "turned.png", exif=tag)
    assert read(tmp_path / "turned.png")[0].pixels.shape == (8, 20, 3)


def test_a_folder_is_read_in_order_with_its_folders(tmp_path: Path, net: Gap, d: Dissection) -> None:
    for name, pixel in zip(("b/2.png", "b/10.png", "a.PNG", "class 1/x.jpeg"), pixels(4), strict=True):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(pixel).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_bytes(b"no image")
    found = explain(d, tmp_path, model=net)
    assert [f.image for f in found] == ["a.PNG", "b/10.png", "b/2.png", "class 1/x.jpeg"]
    assert [f.true for f in found] == [None, None, None, 1]  # the folder is called as the class is
    assert found[0].correct is None


def test_files_arrays_and_numbers_together(tmp_path: Path) -> None:
    Image.fromarray(pixels(1)[0]).save(tmp_path / "a.png")
    found = read([str(tmp_path / "a.png"), 3, pixels(2)[1], pixels(2)[1][..., 0], np.int64(0)])
    assert [f.number for f in found] == [None, 3, None, None, 0]
    assert found[3].pixels.shape == (32, 32, 3)
    assert np.array_equal(found[3].pixels[..., 2], pixels(2)[1][..., 0])
    assert [f.name for f in read(np.stack(pixels(3)))] == ["image 0", "image 1", "image 2"]


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ([], "expected at least one image"),
        (5, "expected the number of an image of the run, 0 to 4; got 5"),
        (-1, "0 to 4; got -1"),
        (True, "expected an image: a file, a folder, an array or a number; got bool"),
        (None, "expected images: files, folders, arrays or numbers; got NoneType"),
        (1.5, "got float"),
        ([None], "got NoneType"),
        (np.zeros((4, 4, 4), np.uint8), "an alpha channel is left out by pixels[..., :3]"),
        (np.zeros((4, 4, 3), np.float32), "expected pixels uint8 [height, width, 3]"),
        (np.zeros((0, 4, 3), np.uint8), "got uint8 [0, 4, 3]"),
        ("missing.png", "image 'missing.png' is missing: expected a file or a folder of images"),
    ],
)
def test_what_is_no_image_is_refused(images: object, words: str) -> None:
    with pytest.raises(FastdissectError) as caught:
        read(images)
    assert words in str(caught.value)


def test_damaged_and_foreign_files_are_named(tmp_path: Path) -> None:
    Image.fromarray(pixels(1)[0]).save(tmp_path / "whole.png")
    data = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "empty.png").write_bytes(b"")
    for name in ("cut.png", "text.jpg", "empty.png"):
        with pytest.raises(DataError, match=name):
            read(tmp_path / name)
    with pytest.raises(DataError, match=r"cut\.png"):
        read(tmp_path)
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="holds no image"):
        read(tmp_path / "none")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs files that cannot be read")
def test_a_file_without_permission_is_named(tmp_path: Path) -> None:
    Image.fromarray(pixels(1)[0]).save(tmp_path / "mine.png")
    (tmp_path / "mine.png").chmod(0)
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / "mine.png")


def test_numbers_are_those_of_the_run_where_it_left_images_out(net: Gap) -> None:
    whole = open_dataset("shapes:images=12,size=32")
    kept = [i for i in range(12) if i not in (0, 5)]

    class Some(type(whole)):  # type: ignore[misc]
        def is_labelled(self, index: int) -> bool:
            return index in kept

    data = Some(images=12, size=32)
    run = dissected(net, data=data, unlabelled="removed")
    found = explain(run, [0, 4], model=net, data=data)
    assert [f.image for f in found] == [whole.image_name(1), whole.image_name(6)]
    with pytest.raises(SettingError, match="0 to 9; got 10"):
        explain(run, 10, model=net, data=data)
