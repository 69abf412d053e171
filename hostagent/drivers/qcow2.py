"""The header of a qcow2 file: its virtual size and what it rests on. Nothing else is read, no program is run.

Source: https://www.qemu.org/docs/master/interop/qcow2.html
"""

import os
import struct
from dataclasses import dataclass

MAGIC = b"QFI\xfb"
_HEADER = struct.Struct(">4sIQIIQ")  # magic, version, backing offset and length, cluster bits, size
_FEATURES = struct.Struct(">Q")
EXTERNAL_DATA = 1 << 2


@dataclass(frozen=True, slots=True)
class Header:
    """`backing` as written in the file, relative or absolute."""

    version: int
    size: int
    backing: str | None
    external_data: bool


def read_header(path: str) -> Header | None:
    """None when the file is no qcow2. Raises FileNotFoundError, OSError."""
    with open(path, "rb") as file:
        start = file.read(80)
        if len(start) < 72 or not start.startswith(MAGIC):
            return None
        _, version, offset, length, _, size = _HEADER.unpack_from(start)
        external = version >= 3 and len(start) >= 80 and bool(_FEATURES.unpack_from(start, 72)[0] & EXTERNAL_DATA)
        backing = None
        if offset:
            if length > 1023:  # the format's own limit
                return None
            file.seek(offset)
            backing = os.fsdecode(file.read(length))
    return Header(version, size, backing, external)


def backing_path(path: str, header: Header) -> str | None:
    """The absolute path of what `path` rests on."""
    if header.backing is None:
        return None
    return os.path.normpath(os.path.join(os.path.dirname(path), header.backing))
