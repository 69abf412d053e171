"""The kernel of a guest, and an initial RAM disk with just the modules it needs, in an order in which they load."""

import re
import shutil
from pathlib import Path

from tools.guests import packages
from tools.guests.cache import Image
from tools.guests.program import run

# What makes emulated guests quick: no mitigations to pay for, no entropy to wait for, no timer to check.
FAST = "mitigations=off tsc=reliable nokaslr no_timer_check random.trust_cpu=on quiet"


class Kernel:
    """An unpacked kernel package: `image` is the bzImage, `release` its version."""

    def __init__(self, root: Path) -> None:
        self.image = next((root / "boot").glob("vmlinuz-*"))
        self.release = self.image.name.removeprefix("vmlinuz-")
        self.modules = root / "lib/modules" / self.release
        self._found = {path.stem.replace("-", "_"): path for path in (self.modules / "kernel").rglob("*.ko")}

    def load_order(self, wanted: tuple[str, ...]) -> list[Path]:
        """The wanted modules and all they depend on, dependencies first. A name that is no module is built in."""
        order: list[Path] = []

        def add(name: str) -> None:
            path = self._found.get(name)
            if path is None or path in order:
                return
            for needed in _dependencies(path):
                add(needed)
            order.append(path)

        for name in wanted:
            add(name)
        return order

    def install_modules(self, wanted: tuple[str, ...], root: Path) -> None:
        """Put them, stripped, under `root`/lib/modules and list them in `root`/modules.list."""
        (root / "lib/modules").mkdir(parents=True, exist_ok=True)
        lines = []
        for path in self.load_order(wanted):
            run("strip", "-g", "-o", root / "lib/modules" / path.name, path)
            lines.append(f"/lib/modules/{path.name}\n")
        (root / "modules.list").write_text("".join(lines))


def pack(root: Path, out: Path) -> None:
    """The tree as an initial RAM disk: owned by root, compressed hard, since it is read through the BIOS."""
    names = sorted(str(path.relative_to(root)) for path in root.rglob("*"))
    listing = "\n".join([".", *names]).encode()
    archive = run("cpio", "--create", "--format=newc", "--owner=0:0", "--quiet", cwd=root, stdin=listing)
    run("zstd", "-q", "-19", "-f", "-o", out, stdin=archive)


def _dependencies(module: Path) -> list[str]:
    found = re.search(rb"\0depends=([^\0]*)\0", module.read_bytes())
    return [name.replace("-", "_") for name in found[1].decode().split(",") if name] if found else []


def _build(work: Path, out: Path) -> None:
    packages.unpack((packages.cloud_kernel(),), work / "debs", work / "parts")
    shutil.copy(Kernel(work / "parts").image, out)


# For a host agent's probe: does hardware virtualisation really run Linux here?
KERNEL = Image("vmlinuz", ".bin", ("kernel.py",), ("linux-image-cloud-amd64",), _build)
