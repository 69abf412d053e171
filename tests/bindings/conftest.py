"""The bindings as users have them: built wheels, installed by pip, used by programs in processes of their own."""

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.provider.cloud import Cloud
from tests.provider.conftest import Terraform
from tools import build_provider
from tools.build_bindings.__main__ import build

ROOT = Path(__file__).parents[2]
FLAVOURS = ("cdktf", "cdktn")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh me"


@dataclass(frozen=True)
class Bindings:
    """The wheels by flavour, and the folder into which pip has installed each."""

    wheels: dict[str, Path]
    installed: dict[str, Path]

    def run(self, flavour: str, program: str, folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
        """A program written for cdktf, on that flavour, in `folder`."""
        (folder / "main.py").write_text(program.replace("cdktf", flavour))
        settings = os.environ | {"PYTHONPATH": str(self.installed[flavour])} | environment
        command = [sys.executable, "main.py"]
        return subprocess.run(
            command, cwd=folder, env=settings, text=True, capture_output=True, timeout=120, check=False
        )

    def synth(self, flavour: str, program: str, folder: Path, **environment: str) -> None:
        done = self.run(flavour, program, folder, CDKTF_OUTDIR=str(folder / "out"), **environment)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def bindings(tmp_path_factory: pytest.TempPathFactory) -> Bindings:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    folder = tmp_path_factory.mktemp("bindings")
    wheels = build(folder / "built")
    installed = {flavour: folder / flavour for flavour in wheels}
    for flavour, wheel in wheels.items():
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-index"]
        subprocess.run([*command, "--no-deps", "--target", installed[flavour], wheel], check=True)
    return Bindings(wheels, installed)


@pytest.fixture(scope="session")
def steppe(bindings: Bindings) -> Iterator[Any]:
    """The package for cdktf, imported here: what needs no process of its own is faster this way."""
    sys.path.insert(0, str(bindings.installed["cdktf"]))
    try:
        package = importlib.import_module("steppe_cdktf")
        for module in ("resources", "data_sources", "ephemeral_resources", "provider", "_attributes", "_flavour"):
            importlib.import_module(f"steppe_cdktf.{module}")
        yield package
    finally:
        sys.path.pop(0)


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A control plane with three enrolled hosts."""
    with Cloud(tmp_path_factory.mktemp("cloud"), hosts=3) as running:
        yield running


@pytest.fixture(scope="session")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Terraform's settings with the built provider."""
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not installed")
    with pytest.MonkeyPatch.context() as patch:
        build_folder = tmp_path_factory.mktemp("build")
        patch.setattr(build_provider, "BUILD", build_folder)
        build_provider.main()
    return build_folder / "terraformrc"


class Stacks:
    """Terraform in a synthesized stack, with the provider from the mirror."""

    def __init__(self, cloud: Cloud, mirror: Path) -> None:
        self.environment = cloud.environment | {"TF_CLI_CONFIG_FILE": str(mirror), "CHECKPOINT_DISABLE": "1"}
        self._applied: list[Terraform] = []

    def initialised(self, folder: Path) -> Terraform:
        terraform = Terraform(folder, self.environment)
        done = terraform.run("init", "-no-color", "-input=false")
        assert done.succeeded, done.output
        return terraform

    def applied(self, folder: Path) -> Terraform:
        terraform = self.initialised(folder)
        self._applied.append(terraform)
        terraform.must_apply()
        return terraform

    def destroy(self) -> None:
        while self._applied:
            done = self._applied.pop().destroy()
            assert done.succeeded, done.output


@pytest.fixture
def stacks(cloud: Cloud, mirror: Path) -> Iterator[Stacks]:
    running = Stacks(cloud, mirror)
    yield running
    running.destroy()
