"""A file as numbered windows of 4 MiB: which of them hold data, where the data lies in one, and a window's digest.

Holes are never sent. A digest is of the window's bytes as a reader sees them, so a hole equals zeros. It is XXH3 with 128
bits, nine times as fast as SHA-256: it has to find what went wrong by chance; against attackers there is TLS. A window is
worked on in pieces, so that what one step leaves in the processor's cache is there for the next.
"""

import ctypes
import errno
import os
from collections.abc import Iterator

from xxhash import xxh3_128

WINDOW, PIECE = 4 << 20, 1 << 20  # bytes
_PUNCH_HOLE, _KEEP_SIZE = 2, 1
_BEGIN_WRITING = 2
_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
_libc.sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
Segment = tuple[int, int]  # offset, length
Digest = xxh3_128


def segments(descriptor: int, start: int, end: int) -> Iterator[Segment]:
    """The parts with data from `start` to `end`."""
    at = start
    while at < end:
        try:
            begin = os.lseek(descriptor, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole up to the end of the file
                return
            raise
        if begin >= end:
            return
        at = min(os.lseek(descriptor, begin, os.SEEK_HOLE), end)
        yield begin, at - begin


def runs(descriptor: int, size: int) -> list[Segment]:
    """Windows with data, as (first, how many)."""
    found: list[Segment] = []
    for offset, length in segments(descriptor, 0, size):
        first, last = offset // WINDOW, (offset + length - 1) // WINDOW
        if found and first <= found[-1][0] + found[-1][1]:
            start = found[-1][0]
            found[-1] = (start, max(found[-1][1], last + 1 - start))
        else:
            found.append((first, last + 1 - first))
    return found


def windows(found: list[Segment]) -> list[int]:
    return [number for first, count in found for number in range(first, first + count)]


def pieces(number: int, size: int) -> Iterator[Segment]:
    """The window's, up to the end of a file of `size` bytes."""
    start, end = number * WINDOW, min((number + 1) * WINDOW, size)
    return ((at, min(PIECE, end - at)) for at in range(start, end, PIECE))


def cut(found: list[Segment], start: int, end: int) -> Iterator[Segment]:
    """What lies between `start` and `end` of these segments."""
    for offset, length in found:
        begin, stop = max(offset, start), min(offset + length, end)
        if begin < stop:
            yield begin, stop - begin


def read(descriptor: int, offset: int, buffer: memoryview) -> memoryview:
    """Fill the buffer from there, less of it at the end of the file."""
    have = 0
    while have < len(buffer) and (count := os.preadv(descriptor, [buffer[have:]], offset + have)):
        have += count
    return buffer[:have]


def clear(descriptor: int, number: int) -> None:
    """The window becomes a hole. Python has no fallocate with a mode. Raises: OSError where the file system cannot."""
    if _libc.fallocate(descriptor, _PUNCH_HOLE | _KEEP_SIZE, number * WINDOW, WINDOW):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def begin_writing(descriptor: int, number: int) -> None:
    """The disk writes the window while others are on their way, so the fsync at the end waits for little: a wish, no more."""
    _libc.sync_file_range(descriptor, number * WINDOW, WINDOW, _BEGIN_WRITING)


def digest(descriptor: int, number: int, buffer: memoryview) -> str:
    """Of a window as it is stored now."""
    running = Digest()
    for offset, length in pieces(number, os.fstat(descriptor).st_size):
        running.update(read(descriptor, offset, buffer[:length]))
    return running.hexdigest()
