"""Build the Python bindings into build/bindings: a package tree and a wheel for `cdktf` and for `cdktn`."""

import shutil
import sys
import tomllib
from pathlib import Path

from tools.build_bindings import generate, wheel
from tools.build_provider import ROOT, SOURCE

BINDINGS = ROOT / "cdktf-bindings"
BUILD = ROOT / "build" / "bindings"
# flavour → what it needs of the package index
FLAVOURS = {
    "cdktf": ("cdktf>=0.21,<0.22", "constructs>=10.4.2,<11"),
    "cdktn": ("cdktn>=0.24,<1", "constructs>=10.6,<10.8"),
}
ALSO = ("pyyaml>=6",)


def build(folder: Path = BUILD) -> dict[str, Path]:
    """The wheels by flavour; beside each lies its package, unpacked."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    version = str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])
    generated = generate.modules(version.split("rc")[0], SOURCE)
    return {flavour: _flavour(flavour, version, generated, folder) for flavour in FLAVOURS}


def _flavour(flavour: str, version: str, generated: dict[str, str], folder: Path) -> Path:
    sources = {path.name: path.read_text() for path in sorted((BINDINGS / "source").iterdir()) if path.is_file()}
    sources["_flavour.py"] = sources["_flavour.py"].replace("import cdktf as", f"import {flavour} as")
    files = {f"steppe_{flavour}/{name}": text for name, text in (sources | generated).items()}
    for name, text in files.items():
        path = folder / flavour / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    project = wheel.Project(
        name=f"steppe-{flavour}",
        version=version,
        summary=f"Steppe's resources and constructs for {flavour}",
        requires_python=">=3.11",
        requires=(*FLAVOURS[flavour], *ALSO),
        readme=(BINDINGS / "README.md").read_text(),
        licence=(ROOT / "LICENSE").read_text(),
    )
    return wheel.write(project, files, folder)


def main() -> int:
    for path in build().values():
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
