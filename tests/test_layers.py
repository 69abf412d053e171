"""The contracts of pyproject.toml catch a crossing: a copy of the tree with one bad import for each of them fails."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
# contract → the module that crosses it, and what it imports
CROSSINGS = {
    "The control plane's layers": ("controlplane.rules.vm_state", "controlplane.store.rows"),
    "The host agent's layers": ("hostagent.drivers.naming", "hostagent.ensure.vm"),
    "The provider's layers": ("provider.framework.schema", "provider.wire.server"),
    "The host agent, the provider and the CLI know nothing of each other or of the control plane's inside": (
        "provider.client.transport",
        "controlplane.contract.zone",
    ),
    "The CLI knows the control plane's contract only": ("cli.words", "controlplane.services.vm"),
    "Only controlplane.agents knows the host agent's contract": ("controlplane.services.vm", "hostagent.contract"),
    "SQLAlchemy lives in the store": ("controlplane.workflows.vm", "sqlalchemy"),
    "FastAPI lives in the api packages": ("hostagent.ensure.vm", "fastapi"),
    "libvirt, netlink and nftables have one home": ("hostagent.ensure.volume", "libvirt"),
}


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()", "--no-logo"]
    wide = os.environ | {"COLUMNS": "200"}  # names of contracts stay on one line
    return subprocess.run([*command, "--no-cache"], cwd=tree, env=wide, capture_output=True, text=True, check=False)


def test_a_crossing_of_each_contract_is_caught(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in SETTINGS["root_packages"]:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    clean = lint(tmp_path)
    assert clean.returncode == 0, clean.stdout + clean.stderr

    for module, imported in CROSSINGS.values():
        source = tmp_path / f"{module.replace('.', '/')}.py"
        source.write_text(f"{source.read_text()}\nimport {imported}\n")
    crossed = lint(tmp_path)
    assert crossed.returncode == 1, crossed.stdout + crossed.stderr
    details = crossed.stdout.partition("Broken contracts")[2]
    for contract, (module, imported) in CROSSINGS.items():
        complaint = details.partition(f"\n{contract}\n")[2].partition("\n\n\n")[0]
        assert f"{module} -> {imported} (" in complaint, f"{contract}:\n{crossed.stdout}"


def test_every_contract_has_a_crossing() -> None:
    assert set(CROSSINGS) == {contract["name"] for contract in SETTINGS["contracts"]}
