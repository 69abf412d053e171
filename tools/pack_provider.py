"""Pack the Terraform provider for other machines: build/providers, the tree of Terraform's network-mirror protocol.

One zip for linux_amd64: this project's provider with the libraries it needs, byte-compiled; the machine brings Python of the
version that packed it and nothing else. The same source and libraries give the same bytes. A control plane serves the tree
(`--provider-mirror`), any web server can, and so can a folder. Versions that are there already stay.
"""

import base64
import hashlib
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path, PurePosixPath

from tools.build_provider import MAIN, PLATFORM, ROOT, SOURCE, project_version

PROVIDERS = ROOT / "build" / "providers"
# What `provider/` imports, and what that imports; cffi's parser of C is not needed to run.
LIBRARIES = ("cffi", "cryptography", "grpcio", "msgpack", "protobuf", "typing-extensions")
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
# The system's own Python first: a version manager's stand-in for it costs as much as the whole start. Nothing is ever
# written beside the program: Terraform remembers a hash of all files.
LAUNCHER = f"""\
#!/bin/sh
# Steppe's Terraform provider: Python, with its libraries in lib/.
python=/usr/bin/{PYTHON}
[ -x "$python" ] || python=$(command -v {PYTHON}) || {{
    echo "The Steppe provider needs {PYTHON} in the path, and there is none." >&2
    exit 1
}}
exec "$python" -IBS "${{0%/*}}/lib"
"""


def pack(folder: Path = PROVIDERS) -> Path:
    """Writes the zip and both documents of the protocol; returns the zip."""
    version = project_version()
    files = contents(version)
    home = folder / SOURCE
    home.mkdir(parents=True, exist_ok=True)
    archive = home / f"terraform-provider-steppe_{version}_{PLATFORM}.zip"
    archive.write_bytes(_zipped(files))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    hashes = ["zh:" + digest, h1(files)]
    for signed in home.glob(f"*_{version}_SHA256SUMS"):
        if digest not in signed.read_text():  # of other bytes: what is no longer signed is no release
            signed.unlink()
    one = {"archives": {PLATFORM: {"url": archive.name, "hashes": hashes}}}
    _write(home / f"{version}.json", one)
    versions = sorted(path.stem for path in home.glob("[0-9]*.json"))
    _write(home / "index.json", {"versions": {each: {} for each in versions}})
    return archive


def contents(version: str) -> dict[str, bytes]:
    """Every file of the package by its path."""
    files = {
        f"terraform-provider-steppe_v{version}": LAUNCHER.encode(),
        "lib/__main__.py": MAIN.format(path="").encode(),
    }
    for path in sorted((ROOT / "provider").rglob("*.py")):
        files[f"lib/{path.relative_to(ROOT).as_posix()}"] = path.read_bytes()
    for name in LIBRARIES:
        files |= {f"lib/{path}": data for path, data in _library(name)}
    return dict(sorted((files | dict(_compiled(files))).items()))


def h1(files: dict[str, bytes]) -> str:
    """Terraform's hash of an unpacked package, whatever it was packed in."""
    lines = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items()))
    return "h1:" + base64.b64encode(hashlib.sha256(lines.encode()).digest()).decode()


def _library(name: str) -> Iterator[tuple[str, bytes]]:
    for file in metadata.distribution(name).files or ():
        path = PurePosixPath(file.as_posix())
        useful = path.suffix in (".py", ".so") or path.name.endswith(".so.0") or "LICENSE" in path.name.upper()
        if useful and ".." not in path.parts and "__pycache__" not in path.parts:
            yield str(path), Path(str(file.locate())).read_bytes()


def _compiled(files: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Byte code that holds whatever the dates of files are: without it a start takes five times as long.

    Made by a Python of its own, always in the same state: what another has interned shows in the bytes.
    """
    with tempfile.TemporaryDirectory() as scratch:
        for name, data in files.items():
            path = Path(scratch, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        words = ["-m", "compileall", "-q", "-s", scratch, "--invalidation-mode", "unchecked-hash", f"{scratch}/lib"]
        subprocess.run([sys.executable, "-sS", *words], env={"PYTHONHASHSEED": "0"}, check=True)
        for made in sorted(Path(scratch).rglob("*.pyc")):
            yield made.relative_to(scratch).as_posix(), made.read_bytes()


def _zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name)  # no date
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o100644 if "/" in name else 0o100755) << 16
            archive.writestr(entry, data)
    return buffer.getvalue()


def _write(path: Path, document: object) -> None:
    path.write_text(json.dumps(document, indent=2) + "\n")


def main() -> int:
    print(pack())
    return 0


if __name__ == "__main__":
    sys.exit(main())
