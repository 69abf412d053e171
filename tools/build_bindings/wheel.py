"""A wheel, written by hand: the same files give the same bytes, and nothing is asked of an index.

A wheel is a zip with three files of metadata. Pure Python only.
"""

import base64
import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Project:
    """What the metadata says."""

    name: str  # "steppe-cdktf"
    version: str
    summary: str
    requires_python: str
    requires: tuple[str, ...]
    readme: str
    licence: str

    @property
    def stem(self) -> str:
        return f"{self.name.replace('-', '_')}-{self.version}"


def write(project: Project, files: dict[str, str], folder: Path) -> Path:
    """The wheel of `files` (path within site-packages → text), in `folder`."""
    info = f"{project.stem}.dist-info"
    entries = dict(sorted(files.items()))
    entries[f"{info}/licenses/LICENSE"] = project.licence
    entries[f"{info}/METADATA"] = _metadata(project)
    entries[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: steppe\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    entries[f"{info}/RECORD"] = "".join(_record(name, text) for name, text in entries.items()) + f"{info}/RECORD,,\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in entries.items():
            entry = zipfile.ZipInfo(name)  # no date
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, text.encode())
    path = folder / f"{project.stem}-py3-none-any.whl"
    path.write_bytes(buffer.getvalue())
    return path


def _metadata(project: Project) -> str:
    requires = "".join(f"Requires-Dist: {one}\n" for one in project.requires)
    return (
        f"Metadata-Version: 2.4\nName: {project.name}\nVersion: {project.version}\nSummary: {project.summary}\n"
        f"License-Expression: Apache-2.0\nLicense-File: LICENSE\nRequires-Python: {project.requires_python}\n{requires}"
        f"Classifier: Typing :: Typed\nDescription-Content-Type: text/markdown\n\n{project.readme}"
    )


def _record(name: str, text: str) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(text.encode())}\n"
