"""Where built images live, and when one must be built anew.

An image's name carries a hash of the builder's source and of the versions of the Debian packages it is made of: a change of
either makes a new file and leaves the old one to whoever has it open. Two builders of one image wait for each other.
"""

import fcntl
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tools.guests import packages

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Image:
    """`build(work, out)` makes the file `out` using the empty folder `work`. `sources` are file names in this folder."""

    name: str
    suffix: str
    sources: tuple[str, ...]
    packages: tuple[str, ...]
    build: Callable[[Path, Path], None]


def folder() -> Path:
    """`$STEPPE_CACHE/guests`, or `~/.cache/steppe/guests`."""
    chosen = os.environ.get("STEPPE_CACHE")
    return (Path(chosen) if chosen else Path.home() / ".cache/steppe") / "guests"


def image(wanted: Image) -> Path:
    """The path of the image, built now when there is none of this recipe and these package versions."""
    folder().mkdir(parents=True, exist_ok=True)
    with (folder() / f"{wanted.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        path = folder() / f"{wanted.name}-{_key(wanted)}{wanted.suffix}"
        if path.exists():
            return path
        print(f"building the guest image {wanted.name} …", file=sys.stderr, flush=True)
        start = time.monotonic()
        with tempfile.TemporaryDirectory(dir=folder(), prefix=f".{wanted.name}-") as work:
            out = Path(work) / f"out{wanted.suffix}"
            (Path(work) / "work").mkdir()
            wanted.build(Path(work) / "work", out)
            for old in folder().glob(f"{wanted.name}-????????????{wanted.suffix}"):
                old.unlink()
            out.rename(path)
        print(f"built {path.name} in {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
        return path


def _key(wanted: Image) -> str:
    digest = hashlib.sha256()
    for name in wanted.sources:
        digest.update((_HERE / name).read_bytes())
    for name, version in packages.candidates(wanted.packages).items():
        digest.update(f"{name}={version}\n".encode())
    return digest.hexdigest()[:12]
