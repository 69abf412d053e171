"""Debian packages as raw material: which version there is, and what is in it. Nothing is installed on the machine."""

import re
import subprocess
from pathlib import Path


def candidates(names: tuple[str, ...]) -> dict[str, str]:
    """Version of each package that apt would take. `LookupError` names what apt does not know."""
    if not names:
        return {}
    said = subprocess.run(
        ["apt-cache", "policy", *names],
        capture_output=True,
        text=True,
        check=True,
        env={"LC_ALL": "C", "PATH": "/usr/bin"},
    ).stdout
    found = dict(re.findall(r"^(\S+):\n(?:  .*\n)*?  Candidate: (\S+)", said, re.MULTILINE))
    missing = [name for name in names if found.get(name, "(none)") == "(none)"]
    if missing:
        raise LookupError(
            f"apt knows no package {', '.join(missing)}: run 'apt-get update', and check for Debian 12 sources"
        )
    return {name: found[name] for name in names}


def unpack(names: tuple[str, ...], work: Path, into: Path) -> None:
    """Download the packages to `work` and lay out their files under `into`; no script of theirs is run."""
    work.mkdir(parents=True, exist_ok=True)
    download = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *names]
    done = subprocess.run(download, cwd=work, capture_output=True, text=True, check=False)
    if done.returncode:
        subprocess.run(["apt-get", "-q", "update"], capture_output=True, check=True)  # the lists had grown old
        subprocess.run(download, cwd=work, capture_output=True, check=True)
    into.mkdir(parents=True, exist_ok=True)
    for package in sorted(work.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", package, into], check=True)
        package.unlink()


def cloud_kernel() -> str:
    """Name of the package with today's cloud kernel, e.g. linux-image-6.1.0-56-cloud-amd64."""
    said = subprocess.run(
        ["apt-cache", "depends", "linux-image-cloud-amd64"], capture_output=True, text=True, check=True
    ).stdout
    found = re.search(r"Depends: (linux-image-\S+-cloud-amd64)", said)
    if not found:
        raise LookupError("apt knows no linux-image-cloud-amd64: run 'apt-get update', and check for Debian 12 sources")
    return found[1]
