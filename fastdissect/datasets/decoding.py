"""Image files -> arrays: photographs to uint8 RGB, label PNGs to label numbers.

Nothing is decoded before its header has been held against the expected or allowed size.
"""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from fastdissect.errors import DataError

__all__ = ["MAX_PIXELS", "decode_image", "decode_label_map", "image_size"]

MAX_PIXELS = 1 << 26
"""Default of `max_pixels`: 67,108,864 pixels (8192 x 8192), 200 MB once decoded."""

# Formats are named so that Pillow never tries the ones that start other programs (EPS, for example).
_IMAGE_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
# What Pillow lets through when a file is damaged, by experience and by the tests that cut files at every byte.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)
_WIDE_GREY = ("I", "I;16", "I;16B", "I;16L", "I;16N")


def _open(data: bytes, what: str, formats: tuple[str, ...], max_pixels: int) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data), formats=formats)
    except _BOMBS as error:
        raise DataError(
            f"{what} is larger than Pillow allows ({error}). If it is genuine, raise PIL.Image.MAX_IMAGE_PIXELS "
            f"and the data set's option max_pixels (now {max_pixels:,})."
        ) from error
    except UnidentifiedImageError:
        raise DataError(
            f"{what} is not an image: expected {', '.join(formats)} ({len(data)} bytes came)."
        ) from None
    except _BROKEN as error:
        raise DataError(f"{what} is damaged ({error}). Restore the file.") from error
    width, height = image.size
    if width * height > max_pixels:
        raise DataError(
            f"{what} would decompress to {height} x {width} = {width * height:,} pixels; the limit is "
            f"{max_pixels:,}. If it is genuine, raise the data set's option max_pixels."
        )
    return image


def _check_png(data: bytes, what: str) -> None:
    # Pillow is content once it has all pixels: it compares neither their checksums nor looks for the end.
    view, at = memoryview(data), 8
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(view[at : at + 4], "big")
        if end > len(data):
            break
        if zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise DataError(f"{what} is damaged (a checksum of the PNG is wrong). Restore the file.")
        if data[at + 4 : at + 8] == b"IEND":
            return
        at = end
    raise DataError(f"{what} is truncated (the PNG's end marker is missing). Restore the file.")


def _load(image: Image.Image, data: bytes, what: str) -> None:
    if image.format == "PNG":
        _check_png(data, what)
    try:
        image.load()
    except _BOMBS + _BROKEN as error:
        raise DataError(f"{what} is truncated or damaged ({error}). Restore the file.") from error


def image_size(data: bytes, what: str, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Height and width of an image file, from its header alone."""
    width, height = _open(data, what, _IMAGE_FORMATS, max_pixels).size
    return height, width


def decode_image(data: bytes, what: str, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode an image file to uint8 [height, width, 3].

    Grey images are replicated to three channels, 16-bit ones keep their upper 8 bits, an alpha channel is
    dropped, of an animation the first frame is taken. Orientation tags are ignored: masks fit stored pixels.

    Args:
        data: the file's bytes; JPEG, PNG, BMP, GIF, PPM, TIFF or WebP.
        what: names the image in errors.
        max_pixels: height x width allowed.

    Raises:
        DataError: no image, damaged, too large, or of a pixel type that has no RGB meaning.
    """
    image = _open(data, what, _IMAGE_FORMATS, max_pixels)
    _load(image, data, what)
    if image.mode in _WIDE_GREY:
        grey = np.clip(np.asarray(image, dtype=np.int32) >> 8, 0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode == "F":
        raise DataError(f"{what} holds floating-point pixels; expected 8- or 16-bit integers. Convert it.")
    try:
        return np.array(image if image.mode == "RGB" else image.convert("RGB"), dtype=np.uint8)
    except _BROKEN as error:
        raise DataError(f"{what} of pixel mode {image.mode} cannot be turned into RGB ({error}).") from error


def decode_label_map(
    data: bytes, what: str, *, size: tuple[int, int] | None = None, max_pixels: int = MAX_PIXELS
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Decode a label PNG to label numbers, uint8 or uint16 [height, width], 0 = unlabelled.

    - 8-bit RGB: R + 256 G, with B = 0 (Broden's coding; METHODS of Bau et al. 2017, loadseg.py);
    - 8- or 16-bit grey: the value itself;
    - palette: the index, whatever the colours are.

    Args:
        data: the file's bytes.
        what: names the mask in errors.
        size: the expected (height, width), or None where any will do.
        max_pixels: height x width allowed where `size` is None.

    Raises:
        DataError: no PNG, damaged, of another size, or of a pixel type that has no label meaning.
    """
    if size is not None:
        max_pixels = max(max_pixels, size[0] * size[1])
    image = _open(data, what, ("PNG",), max_pixels)
    if size is not None and image.size != (size[1], size[0]):
        raise DataError(
            f"{what} is {image.size[1]} x {image.size[0]} (height x width); expected {size[0]} x {size[1]}. "
            "Resize the mask by nearest neighbour or correct the index."
        )
    _load(image, data, what)
    if image.mode == "RGB":
        # Four bytes a pixel, R G B and padding, are the little-endian uint32 R + 256 G + 65536 B + ...: one view
        # and one narrowing copy, no arithmetic that could overflow.
        words = np.frombuffer(image.tobytes("raw", "RGBX"), dtype="<u4")
        if (words & np.uint32(0x00FF0000)).any():
            raise DataError(
                f"{what} has pixels with blue != 0; a label is coded as R + 256 G with B = 0. Is it a photograph?"
            )
        return words.astype(np.uint16).reshape(image.height, image.width)
    if image.mode == "L" and data[24] < 8:
        # Pillow stretches 2- and 4-bit grey to 0..255, so the label numbers would be lost.
        raise DataError(
            f"{what} is grey with {data[24]} bits a pixel; expected 8 or 16 bits, a palette or RGB."
        )
    if image.mode in ("1", "L", "P"):
        return np.array(image, dtype=np.uint8)
    if image.mode in _WIDE_GREY:
        return np.array(image).astype(np.uint16)
    raise DataError(
        f"{what} has pixel mode {image.mode}; expected RGB (R + 256 G), 8- or 16-bit grey or a palette."
    )
