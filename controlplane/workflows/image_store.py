"""The files of image stores: where they lie, and what may become an image.

A store is a directory `<state dir>/images/<url>`; an image is `<store>/<uuid>/<uuid>.<format>`. `inspect` reads a file's
own header: the format must be the one that was said, and a qcow2 file that points to other files is refused, since the
host would open them for the guest.
"""

import os
import shutil
import struct
from pathlib import Path

from controlplane.contract.error import ApiError, invalid

_QCOW2 = b"QFI\xfb"
_KNOWN_FEATURES = 0b11111  # dirty, corrupt, external data file, compression type, extended L2
_CORRUPT, _EXTERNAL_DATA = 0b10, 0b100
_EXTERNAL_DATA_NAME = 0x44415441
_MAX_SIZE = 2**60


def relative_directory(url: str) -> str:
    """Below the image directory; a `url` that would lead out of it is SYS.1007."""
    relative = os.path.normpath(url.strip("/"))
    if relative == "." or relative.startswith("..") or "\0" in relative or "://" in url:
        raise invalid(f"field[url]: {url!r} must name a directory, e.g. /images", "url")
    return relative


def directory(state_dir: Path, url: str) -> Path:
    return state_dir / "images" / relative_directory(url)


def install_path(uuid: str, image_format: str) -> str:
    return f"{uuid}/{uuid}.{image_format}"


def remove_image(store: Path, uuid: str) -> None:
    """All files of one image, finished or not."""
    shutil.rmtree(store / uuid, ignore_errors=True)


# -- what may become an image ------------------------------------------------------------------------------------


def inspect(path: Path, image_format: str) -> int:
    """The virtual size in bytes. Raises IMG.1000 when the file is not what `image_format` (qcow2, raw, iso) says."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(4096)
        file.seek(32768)
        descriptor = file.read(6)
    found = "qcow2" if head.startswith(_QCOW2) else "iso" if descriptor[1:] == b"CD001" else "raw"
    if size == 0:
        raise _bad("the file is empty")
    if found != image_format and (image_format != "raw" or found == "qcow2"):
        looks = {"qcow2": "a qcow2 image", "iso": "an ISO 9660 image", "raw": "neither qcow2 nor ISO 9660"}[found]
        raise _bad(f"the format is said to be {image_format}, but the file is {looks}")
    if image_format == "qcow2":
        return _qcow2_size(path, head, size)
    if image_format == "raw" and size % 512:
        raise _bad(f"a raw disk image is a multiple of 512 bytes, this file has {size}; was it cut off or compressed?")
    return size


def _qcow2_size(path: Path, head: bytes, file_size: int) -> int:
    """Fields as in QEMU's docs/interop/qcow2.txt."""
    if len(head) < 72:
        raise _bad("the qcow2 header is cut off")
    version, backing_offset = struct.unpack_from(">IQ", head, 4)
    size, encryption, l1_entries, l1_offset = struct.unpack_from(">QIIQ", head, 24)
    if version not in (2, 3):
        raise _bad(f"qcow2 version {version} is unknown; 2 and 3 are supported")
    if backing_offset:
        raise _bad("it has a backing file; flatten it first: qemu-img convert -O qcow2 <image> <new image>")
    if encryption:
        raise _bad("it is encrypted, which is not supported")
    header_length = 72
    if version == 3:
        if len(head) < 104:
            raise _bad("the qcow2 header is cut off")
        (features,) = struct.unpack_from(">Q", head, 72)
        (header_length,) = struct.unpack_from(">I", head, 100)
        if features & _EXTERNAL_DATA:
            raise _bad("it keeps its data in another file; convert it: qemu-img convert -O qcow2 <image> <new image>")
        if features & _CORRUPT:
            raise _bad("it is marked as corrupt; repair it with qemu-img check -r all")
        if features & ~_KNOWN_FEATURES:
            raise _bad(f"it needs qcow2 features that are unknown here ({features:#x})")
    _check_extensions(head, header_length)
    if not 0 < size <= _MAX_SIZE or size % 512:
        raise _bad(f"a virtual size of {size} bytes is not possible")
    if l1_offset + 8 * l1_entries > file_size:
        raise _bad(f"the file is cut off at {file_size} bytes")
    return int(size)


def _check_extensions(head: bytes, offset: int) -> None:
    while offset + 8 <= len(head):
        kind, length = struct.unpack_from(">II", head, offset)
        if kind == 0:
            return
        if kind == _EXTERNAL_DATA_NAME:
            raise _bad("it names another file for its data; convert it: qemu-img convert -O qcow2 <image> <new image>")
        offset += 8 + (length + 7) // 8 * 8
    raise _bad("the list of qcow2 header extensions has no end")


def _bad(reason: str) -> ApiError:
    return ApiError("IMG.1000", f"this is no usable image: {reason}")
