"""Tar files by position: which files a name means, which members each has, and where their bytes lie.

| header | data, to whole blocks | header | data | ... | two blocks of zeros, padding |
"""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

from fastdissect.datasets.folder_tables import list_files
from fastdissect.errors import DataError

__all__ = ["list_shards", "read_at", "tar_members"]

_BRACES = re.compile(r"\{([0-9]+)\.\.([0-9]+)\}")
_BLOCK = 512  # of a tar
_COMPRESSED = {b"\x1f\x8b\x08": "gzip", b"BZh": "bzip2", b"\xfd7z": "xz", b"\x28\xb5\x2f": "zstd"}


def list_shards(where: Path) -> list[Path]:
    """The tar files that a path, a folder, or a name with braces means, in order.

    Raises:
        DataError: one of them, or all, are missing.
    """
    if where.is_dir():
        found = [where / name for name in list_files(where) if name.lower().endswith(".tar")]
        if not found:
            other = [name for name in list_files(where) if re.search(r"\.(tar\.\w+|tgz)$", name.lower())]
            hint = f" {other[0]} is compressed: unpack it (images are compressed already)." if other else ""
            raise DataError(f"{where} holds no tar; expected files such as data-000000.tar.{hint}")
        return found
    names = [str(where)]
    while match := _BRACES.search(names[0]):
        first, last = match.groups()
        if int(last) < int(first) or int(last) - int(first) >= 1_000_000:
            raise DataError(f"{match.group()} in {where} counts no shards; expected {{first..last}}, rising.")
        width = len(first) if first[0] == "0" else 0
        numbers = [f"{number:0{width}d}" for number in range(int(first), int(last) + 1)]
        names = [_BRACES.sub(number, name, count=1) for name in names for number in numbers]
    for name in names:
        if not Path(name).is_file():
            raise DataError(
                f"there is no file {name}; expected a tar, a folder of tars, or data-{{000..009}}.tar."
            )
    return [Path(name) for name in names]


def read_at(path: Path, offset: int, size: int, what: str) -> bytes:
    """`size` bytes of a file from `offset` on; `what` names them in errors."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(size)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}).") from error
    if len(data) < size:
        raise DataError(f"{path} was cut within {what!r} since it was opened. Restore the file.")
    return data


def tar_members(path: Path) -> list[tuple[str, int, int]]:
    """(name, offset, size) of a tar's files; the whole file is accounted for.

    Raises:
        DataError: no tar, a compressed or damaged one, one that was cut short, or a member that is no plain file.
    """
    found: list[tuple[str, int, int]] = []
    last, reached = "its beginning", 0
    try:
        end = path.stat().st_size
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if not (member.isdir() or (member.isfile() and not member.issparse())):
                    raise DataError(
                        f"{path}: the member {member.name!r} is no plain file. Store files alone."
                    )
                size = member.size if member.isfile() else 0
                last, reached = member.name, member.offset_data + size
                if reached > end:
                    break
                if member.isfile():
                    found.append((member.name.removeprefix("./"), member.offset_data, size))
        if reached <= end:
            _check_end(path, -(-reached // _BLOCK) * _BLOCK, last)
    except tarfile.TarError as error:
        kind = _COMPRESSED.get(read_at(path, 0, min(3, end), "its head"))
        if kind is not None:
            raise DataError(
                f"{path} is compressed ({kind}), so that its members cannot be read by position. Unpack it to a plain "
                "tar: images are compressed already."
            ) from error
        if reached <= end:
            raise DataError(
                f"{path} is no tar, or damaged or cut short behind {last!r} ({error}). Restore it."
            ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}).") from error
    if reached > end:
        raise DataError(
            f"{path} was cut short within {last!r}: expected at least {reached:,} bytes, it has {end:,}. Restore it."
        )
    return found


def _check_end(path: Path, offset: int, last: str) -> None:
    """See that zeros follow the last member, at least a block, and nothing else."""
    with path.open("rb") as file:
        file.seek(offset)
        first = file.read(_BLOCK)
        if len(first) < _BLOCK:
            raise DataError(f"{path} was cut short behind {last!r}: its end mark is missing. Restore it.")
        rest = first
        while rest:
            if rest.strip(b"\0"):
                raise DataError(
                    f"{path} holds something that is no member behind {last!r}: it is damaged, or tars were put one "
                    "behind the other. Restore it, or join tars with `tar --concatenate`."
                )
            rest = file.read(1 << 20)
