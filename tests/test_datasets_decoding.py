from __future__ import annotations

import hashlib
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from fastdissect.datasets.decoding import decode_image, decode_label_map, image_size
from fastdissect.datasets.files import digest
from fastdissect.errors import DataError


def encoded(array: np.ndarray, mode: str | None = None, format: str = "PNG", **options) -> bytes:
    image = Image.fromarray(array)
    if mode == "P":
        image = Image.frombytes("P", (array.shape[1], array.shape[0]), array.tobytes())
        image.putpalette([7, 200, 31] * 256)
    elif mode is not None:
        image = image.convert(mode)
    file = io.BytesIO()
    image.save(file, format=format, **options)
    return file.getvalue()


def coded(labels: np.ndarray) -> np.ndarray:
    return np.stack([labels % 256, labels // 256, labels * 0], axis=2).astype(np.uint8)


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """A PNG by hand: for pixel types and sizes that Pillow does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@settings(deadline=None, max_examples=60)
@given(arrays(np.int64, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 65535)))
def test_rgb_labels_above_255_come_back(labels: np.ndarray) -> None:
    decoded = decode_label_map(encoded(coded(labels)), "mask")
    assert decoded.dtype == np.uint16
    assert np.array_equal(decoded, labels)


@pytest.mark.parametrize("mode", [None, "P"])
def test_grey_values_and_palette_indices_are_labels(mode: str | None) -> None:
    labels = np.arange(256, dtype=np.uint8).reshape(8, 32)
    assert np.array_equal(decode_label_map(encoded(labels, mode), "mask"), labels)


def test_sixteen_bit_grey_and_one_bit_are_labels() -> None:
    labels = np.array([[0, 1, 255], [256, 40000, 65535]], dtype=np.uint16)
    assert np.array_equal(decode_label_map(encoded(labels), "mask"), labels)
    bits = np.array([[True, False, True]])
    assert np.array_equal(decode_label_map(encoded(bits), "mask"), [[1, 0, 1]])


def test_four_bit_grey_is_refused_because_pillow_would_stretch_it() -> None:
    data = png(2, 1, 4, 0, b"\x00\x13")
    with pytest.raises(DataError, match="4 bits"):
        decode_label_map(data, "mask")


def test_a_photograph_is_no_mask() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    with pytest.raises(DataError, match="blue != 0"):
        decode_label_map(encoded(photo), "mask")
    with pytest.raises(DataError, match="RGBA"):
        decode_label_map(encoded(photo, "RGBA"), "mask")
    with pytest.raises(DataError, match="not an image: expected PNG"):
        decode_label_map(encoded(photo, format="JPEG"), "mask")


def test_a_mask_of_another_size_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(DataError, match=r"mask is 2 x 3 \(height x width\); expected 3 x 2"):
        decode_label_map(encoded(coded(np.zeros((2, 3), np.int64))), "mask", size=(3, 2))


@pytest.mark.parametrize("decode", [decode_image, decode_label_map])
def test_a_png_cut_anywhere_is_an_error(decode) -> None:
    data = encoded(coded(np.random.default_rng(3).integers(0, 1200, (12, 9))))
    assert decode(data, "file").shape[:2] == (12, 9)
    for length in range(len(data)):
        with pytest.raises(DataError, match="file is"):
            decode(data[:length], "file")


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 10**6), st.integers(1, 255))
def test_a_damaged_byte_never_escapes_as_another_exception(place: int, change: int) -> None:
    data = bytearray(encoded(coded(np.arange(40).reshape(5, 8) * 9)))
    data[place % len(data)] ^= change
    try:
        decode_label_map(bytes(data), "mask")
    except DataError as error:
        assert "mask" in str(error)  # noqa: PT017


def test_no_flipped_bit_changes_a_label() -> None:
    """Pillow compares no checksums: of the bits of a compressed mask some would come out as other labels."""
    data = encoded(coded(np.arange(48, dtype=np.uint16).reshape(6, 8) * 700))
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DataError):
            decode_label_map(bytes(damaged), "mask")


def test_a_jpeg_cut_short_is_an_error() -> None:
    data = encoded(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8), format="JPEG")
    assert decode_image(data, "image").shape == (64, 64, 3)
    with pytest.raises(DataError, match="truncated or damaged"):
        decode_image(data[: len(data) // 2], "image")


def test_images_of_every_kind_become_rgb() -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    rgb = np.repeat(grey[:, :, None], 3, axis=2)
    assert np.array_equal(decode_image(encoded(grey), "image"), rgb)
    assert np.array_equal(decode_image(encoded(grey, "LA"), "image"), rgb)
    assert np.array_equal(decode_image(encoded(rgb, "RGBA"), "image"), rgb)
    assert np.array_equal(decode_image(encoded(grey.astype(np.uint16) * 256 + 9), "image"), rgb)
    assert decode_image(encoded(grey, "P"), "image")[0, 0].tolist() == [7, 200, 31]
    assert decode_image(encoded(rgb, "CMYK", "JPEG"), "image").shape == (3, 4, 3)


def test_floating_point_images_are_refused() -> None:
    with pytest.raises(DataError, match="floating-point"):
        decode_image(encoded(np.zeros((2, 2), np.float32), format="TIFF"), "image")


def test_something_huge_is_refused_by_its_header() -> None:
    bomb = png(60000, 60000, 8, 2, b"")  # 3.6e9 pixels, 10 GB once decoded
    for decode in (decode_image, decode_label_map, image_size):
        with pytest.raises(DataError, match="max_pixels"):
            decode(bomb, "image")
    with pytest.raises(DataError, match=r"10,000 x 8,000|10000 x 8000 = 80,000,000 pixels"):
        decode_image(png(8000, 10000, 8, 2, b""), "image")
    # Above Pillow's own warning (which "error" filters raise) and below its error: ours all the same.
    with pytest.raises(DataError, match="max_pixels"):
        decode_image(png(10000, 10000, 8, 2, b""), "image")


def test_the_limit_is_a_setting_and_exact() -> None:
    data = encoded(np.zeros((3, 4, 3), np.uint8))
    assert decode_image(data, "image", max_pixels=12).shape == (3, 4, 3)
    with pytest.raises(DataError, match="3 x 4 = 12 pixels; the limit is 11"):
        decode_image(data, "image", max_pixels=11)


def test_programs_are_never_started_for_a_format() -> None:
    with pytest.raises(DataError, match="not an image"):
        decode_image(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "image")


def test_digest_is_blake2b_of_16_bytes() -> None:
    assert digest(b"a", b"bc") == hashlib.blake2b(b"abc", digest_size=16).hexdigest()
