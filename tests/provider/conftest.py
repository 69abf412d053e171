"""Real terraform against a provider served in this process (TF_REATTACH_PROVIDERS): no start-up, full coverage."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import grpc
import pytest

from provider.main import Steppe
from provider.wire.server import Served
from tests.provider.cloud import Cloud
from tests.provider.stack import land_for_vms
from tests.provider.wire.core import Core, given
from tools import build_provider

SOURCE = "terraform.local/steppe/steppe"
# Whatever the user configured for the command line must not matter.
SETTINGS = {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "TF_CLI_CONFIG_FILE": os.devnull}
HEAD = """
terraform {
  required_providers {
    %s = { source = "%s" }
  }
}
"""


@dataclass
class Run:
    """What a command said."""

    status: int
    output: str

    @property
    def succeeded(self) -> bool:
        return self.status == 0


class Terraform:
    """One working directory. Every command is a real terraform process."""

    def __init__(
        self, directory: Path, environment: dict[str, str], name: str = "steppe", source: str = SOURCE
    ) -> None:
        self.directory = directory
        self.environment = environment
        self.head = HEAD % (name, source)
        self.changes: dict[str, dict[str, Any]] = {}  # of the latest plan, by address

    def write(self, text: str, file: str = "main.tf") -> None:
        (self.directory / file).write_text((self.head if file == "main.tf" else "") + text)

    def start(self, *words: str, to: IO[str] | None = None) -> "subprocess.Popen[str]":
        """`to` instead of a pipe, for who does not read while it runs."""
        environment = os.environ | SETTINGS | self.environment
        return subprocess.Popen(
            ["terraform", *words],
            cwd=self.directory,
            env=environment,
            text=True,
            stdout=to or subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def run(self, *words: str) -> Run:
        process = self.start(*words)
        output, _ = process.communicate(timeout=120)
        return Run(process.returncode, output)

    def apply(self, *words: str) -> Run:
        return self.run("apply", "-auto-approve", "-no-color", "-input=false", *words)

    def must_apply(self, *words: str) -> None:
        done = self.apply(*words)
        assert done.succeeded, done.output

    def destroy(self) -> Run:
        return self.run("destroy", "-auto-approve", "-no-color", "-input=false")

    def plan(self, *words: str) -> dict[str, list[str]]:
        """Planned actions by address; what stays as it is, is left out."""
        done = self.run("plan", "-no-color", "-input=false", "-out=planned", *words)
        assert done.succeeded, done.output
        shown = json.loads(self.run("show", "-json", "planned").output)
        self.changes = {one["address"]: one["change"] for one in shown.get("resource_changes", [])}
        actions = {address: change["actions"] for address, change in self.changes.items()}
        return {address: some for address, some in actions.items() if some not in (["no-op"], ["read"])}

    def planned(self, address: str) -> dict[str, Any]:
        """That change of the latest plan."""
        return self.changes[address]

    def complaints(self) -> list[tuple[str, str, str]]:
        """Errors of `validate`: summary, detail, and the attribute's line in the configuration."""
        found = json.loads(self.run("validate", "-json").output)["diagnostics"]
        return [(one["summary"], one["detail"], one.get("snippet", {}).get("code", "").strip()) for one in found]

    def state(self) -> dict[str, dict[str, Any]]:
        """Attributes by address."""
        shown = json.loads(self.run("show", "-json").output)
        resources = shown.get("values", {}).get("root_module", {}).get("resources", [])
        return {one["address"]: one["values"] for one in resources}

    def interrupt(self, words: list[str], when: Callable[[], bool]) -> Run:
        """Press Ctrl-C once `when` is true."""
        process = self.start(*words)
        deadline = time.monotonic() + 60
        while not when() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=60)
        return Run(process.returncode, output)


@contextmanager
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Terraform]]:
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not installed")
    running: list[Served] = []

    def start(provider: Any, name: str = "steppe", source: str = SOURCE, **environment: str) -> Terraform:
        directory = tmp_path_factory.mktemp("terraform")
        socket = tmp_path_factory.mktemp("s") / "s"
        running.append(Served(provider, f"unix:{socket}"))
        reattach = {
            source: {
                "Protocol": "grpc",
                "ProtocolVersion": 6,
                "Pid": os.getpid(),
                "Test": True,
                "Addr": {"Network": "unix", "String": str(socket)},
            }
        }
        settings = {"TF_REATTACH_PROVIDERS": json.dumps(reattach)} | environment
        return Terraform(directory, settings, name, source)

    try:
        yield start
    finally:  # else their threads keep the whole run from ending
        for served in running:
            served.close()


@pytest.fixture
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Terraform]]:
    """`serve(provider)` → Terraform that uses it; works with any number of providers."""
    with serving(tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A control plane with two enrolled hosts; tests share it and leave it empty."""
    with Cloud(tmp_path_factory.mktemp("cloud")) as running:
        # A provider that a test serves is configured anew by each command and released only once.
        limit = "/global-configurations/identity/session.maxConcurrent"
        running.client.action(limit, "updateGlobalConfig", {"value": "100000"}, timeout=10)
        yield running


@pytest.fixture
def steppe(serve: Callable[..., Terraform], cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terraform]:
    """Terraform with this provider at that control plane; what it made is destroyed in the end."""
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    terraform = serve(Steppe())
    yield terraform
    if (terraform.directory / "terraform.tfstate").exists():
        done = terraform.destroy()
        assert done.succeeded, done.output


@pytest.fixture(scope="module")
def land(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What VMs need, for a module of tests that make VMs: its uuids by address."""
    with pytest.MonkeyPatch.context() as patch, serving(tmp_path_factory) as start:
        for name, value in cloud.environment.items():
            patch.setenv(name, value)
        terraform = start(Steppe())
        terraform.write(land_for_vms(cloud))
        terraform.must_apply()
        yield {address: values["uuid"] for address, values in terraform.state().items()}
        done = terraform.destroy()
        assert done.succeeded, done.output


@pytest.fixture
def base(land) -> dict[str, Any]:
    """A VM with nothing but what it needs."""
    return {
        "name": "vm",
        "image_uuid": land["steppe_image.a"],
        "instance_offering_uuid": land["steppe_instance_offering.a"],
        "network_uuids": [land["steppe_network.a"]],
    }


@pytest.fixture
def plugin(
    cloud: Cloud, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Terraform]:
    """Terraform with the provider as users have it: built, installed by `terraform init`, a process of its own."""
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not installed")
    build, directory = tmp_path_factory.mktemp("build"), tmp_path_factory.mktemp("plugin")
    monkeypatch.setattr(build_provider, "BUILD", build)
    build_provider.main()
    terraform = Terraform(directory, cloud.environment | {"TF_CLI_CONFIG_FILE": str(build / "terraformrc")})
    terraform.write("")
    done = terraform.run("init", "-no-color")
    assert done.succeeded, done.output
    yield terraform
    done = terraform.destroy()
    assert done.succeeded, done.output


@pytest.fixture
def served(cloud, monkeypatch, tmp_path) -> Iterator[Served]:
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    running = Served(Steppe(), f"unix:{tmp_path}/s")
    yield running
    running.close()


@pytest.fixture
def ask(served, tmp_path) -> Iterator[Core]:
    """The provider, configured for that control plane."""
    with grpc.insecure_channel(f"unix:{tmp_path}/s") as channel:
        core = Core(channel)
        assert not core("ConfigureProvider", config=given(Steppe.schema.type)).diagnostics
        yield core
