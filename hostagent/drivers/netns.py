"""Named network namespaces, and work done inside them: the only place that calls setns and mounts under /run/netns.

A namespace is entered by a throw-away thread, so no other thread of the process ever changes its network. A socket made
inside stays inside. Names are visible to ip-netns(8).
"""

import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import TypeVar

DIRECTORY = Path("/run/netns")
CLONE_NEWNET = 0x40000000
MS_BIND, MS_REC, MS_SHARED, MNT_DETACH = 0x1000, 0x4000, 0x100000, 2

T = TypeVar("T")
_libc = ctypes.CDLL(None, use_errno=True)


def names() -> set[str]:
    return {entry.name for entry in DIRECTORY.iterdir()} if DIRECTORY.is_dir() else set()


def identity(name: str) -> int | None:
    """The inode of the namespace: another number means another namespace under the same name. None: there is none."""
    try:
        return (DIRECTORY / name).stat().st_ino
    except FileNotFoundError:
        return None


def create(name: str) -> None:
    """Make an empty namespace, if there is none. Raises: OSError."""
    _share_directory()
    path = DIRECTORY / name
    if path.exists() and _is_namespace(path):
        return
    path.touch(mode=0o444)

    def work() -> None:
        _check(_libc.unshare(CLONE_NEWNET), "unshare")
        _mount("/proc/thread-self/ns/net", path, MS_BIND)

    _in_thread(work)


def delete(name: str) -> None:
    """Forget the name; the namespace ends with the last socket or process in it. Absent is success."""
    path = DIRECTORY / name
    _libc.umount2(os.fsencode(path), MNT_DETACH)  # a plain file left by a crash is not mounted
    path.unlink(missing_ok=True)


def inside(name: str, work: Callable[[], T]) -> T:
    """What `work` returns or raises when run in the namespace. Blocks; `work` may open sockets and keep them."""

    def entered() -> T:
        descriptor = os.open(DIRECTORY / name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _check(_libc.setns(descriptor, CLONE_NEWNET), "setns")
        finally:
            os.close(descriptor)
        return work()

    return _in_thread(entered)


def in_scratch(work: Callable[[], T]) -> T:
    """What `work` returns in a nameless namespace that ends with it: for probing what the kernel can do."""

    def entered() -> T:
        _check(_libc.unshare(CLONE_NEWNET), "unshare")
        return work()

    return _in_thread(entered)


def _in_thread(work: Callable[[], T]) -> T:
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = Thread(target=run, name="netns")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _share_directory() -> None:
    """As ip-netns does it: mounts made here must reach, and leave, every mount namespace of the host."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    if _libc.mount(b"", os.fsencode(DIRECTORY), b"none", MS_SHARED | MS_REC, None) == 0:
        return
    _mount(str(DIRECTORY), DIRECTORY, MS_BIND | MS_REC)
    _check(_libc.mount(b"", os.fsencode(DIRECTORY), b"none", MS_SHARED | MS_REC, None), "mount")


def _is_namespace(path: Path) -> bool:
    return path.stat().st_dev != path.parent.stat().st_dev


def _mount(source: str, target: Path, flags: int) -> None:
    _check(_libc.mount(source.encode(), os.fsencode(target), b"none", flags, None), "mount")


def _check(result: int, call: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
