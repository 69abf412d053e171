"""Make this machine ready: `setup.py GROUP…` installs the Debian packages of these groups and the Python environment.

Installs only what is missing, starts no service, and does nothing on a second run. Standard library only: it runs before
there is anything else. Needs root (or sudo) only while something is missing.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
# dpkg asks this program before it starts a service (invoke-rc.d); 101 means no
_POLICY = Path("/usr/sbin/policy-rc.d")
_NO_SERVICES = "#!/bin/sh\nexit 101\n"


def packages_of(groups: list[str]) -> list[str]:
    lines = (ROOT / "tools/debian-packages.txt").read_text().splitlines()
    pairs = [line.split() for line in lines if line and not line.startswith("#")]
    unknown = set(groups) - {group for group, _ in pairs}
    if unknown:
        raise SystemExit(f"setup: no such group of packages: {', '.join(sorted(unknown))}")
    return [package for group, package in pairs if group in groups]


def missing(packages: list[str]) -> list[str]:
    shown = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *packages],
        capture_output=True,
        text=True,
        check=False,
    )
    installed = {line.split()[0] for line in shown.stdout.splitlines() if line.endswith(" installed")}
    return [package for package in packages if package not in installed]


def install(packages: list[str]) -> None:
    """apt-get, without recommended packages and without starting what is installed."""
    print(f"setup: installing {len(packages)} Debian packages: {' '.join(packages)}", flush=True)
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    if sudo and not shutil.which("sudo"):
        raise SystemExit("setup: run this as root, or install sudo")
    apt = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-o", "Dpkg::Use-Pty=0"]
    with tempfile.NamedTemporaryFile("w", prefix="policy-") as policy:
        policy.write(_NO_SERVICES)
        policy.flush()
        ours = not _POLICY.exists()
        if ours:
            subprocess.run([*sudo, "install", "-m", "755", policy.name, _POLICY], check=True)
        try:
            _run([*apt, "update"])
            _run([*apt, "install", "--yes", "--no-install-recommends", *packages])
        finally:
            if ours:
                subprocess.run([*sudo, "rm", "-f", _POLICY], check=True)


def python_environment() -> None:
    """`.venv` holds exactly requirements.lock (each file checked by its hash) and this project, editable."""
    stamp = VENV / ".made-from"
    recipe = hashlib.sha256()
    for name in ("requirements.lock", "pyproject.toml"):
        recipe.update((ROOT / name).read_bytes())
    if stamp.exists() and stamp.read_text() == recipe.hexdigest():
        return
    print("setup: making the Python environment .venv", flush=True)
    python = VENV / "bin/python"
    if not python.exists():
        debian = "/usr/bin/python3"
        _run([debian if Path(debian).exists() else sys.executable, "-m", "venv", VENV])
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    _run([*pip, "--no-deps", "--require-hashes", "--requirement", ROOT / "requirements.lock"])  # the lock is complete
    _run([*pip, "--no-deps", "--editable", ROOT])
    stamp.write_text(recipe.hexdigest())


def _run(command: list) -> None:  # type: ignore[type-arg]
    """Show what the command says only when it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        print(done.stdout[-4000:], file=sys.stderr)
        raise SystemExit(f"setup: {' '.join(map(str, command[:6]))} … failed with {done.returncode}")


def main() -> None:
    wanted = missing(packages_of(sys.argv[1:]))
    if wanted:
        install(wanted)
        still = missing(wanted)
        if still:
            raise SystemExit(f"setup: apt-get did not install {' '.join(still)}")
    python_environment()


if __name__ == "__main__":
    main()
