"""Applies and destroys that are interrupted or killed at each of their changes: the next one repairs everything.

A proxy holds the n-th change, before or after it is done, while Ctrl-C is pressed once or twice, or terraform or the
provider is killed. Then nothing exists twice, nothing is to be done, and a destroy leaves the world as it was.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.provider.acceptance.proxy import Proxy, before
from tests.provider.acceptance.world import COLLECTIONS, world
from tests.provider.conftest import Terraform
from tests.provider.stack import with_vm

pytestmark = [pytest.mark.terraform, pytest.mark.timeout(1200)]
MORE = """
resource "steppe_volume" "a" {
  name                 = "data"
  size                 = 1024 * 1024
  primary_storage_uuid = steppe_local_storage.a.uuid
  host_uuid            = steppe_host.a.uuid
}
resource "steppe_volume_attachment" "a" {
  volume_uuid = steppe_volume.a.uuid
  vm_uuid     = steppe_vm.a.uuid
}
resource "steppe_volume_snapshot" "a" {
  name        = "snapshot"
  volume_uuid = steppe_volume.a.uuid
  depends_on  = [steppe_volume_attachment.a]
}
resource "steppe_user_tag" "a" {
  resource_uuid = steppe_vm.a.uuid
  resource_type = "VmInstanceVO"
  tag           = "team"
}
"""
KINDS = ("interrupted", "interrupted twice", "terraform killed", "provider killed")


class Disturbed:
    """One terraform command that something happens to."""

    def __init__(self, plugin: Terraform, proxy: Proxy) -> None:
        self.plugin, self.proxy = plugin, proxy
        self.output = plugin.directory / "output"

    def run(self, words: list[str], at: int, kind: str) -> bool:
        """Whether it came to the change number `at`, and so was disturbed."""
        happened = False

        def by() -> None:
            nonlocal happened
            happened = True
            self._harm(process, kind)

        self.proxy.disturb(at, by)
        with self.output.open("w") as file:
            process = self.plugin.start(*words, "-no-color", "-input=false", "-auto-approve", "-parallelism=1", to=file)
            process.wait(240)
        return happened

    def _harm(self, process: "subprocess.Popen[str]", kind: str) -> None:
        match kind:
            case "interrupted":
                os.killpg(process.pid, signal.SIGINT)
            case "interrupted twice":
                os.killpg(process.pid, signal.SIGINT)
                _until(lambda: "nterrupt received" in self.output.read_text() or process.poll() is not None)
                os.killpg(process.pid, signal.SIGINT)
                _until(lambda: process.poll() is not None)
            case "terraform killed":
                process.kill()
                process.wait(60)
            case "provider killed":
                (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
                os.kill(int(child), signal.SIGKILL)


@pytest.fixture
def proxy(cloud, plugin) -> Iterator[Proxy]:
    with before(cloud.endpoint) as running:
        plugin.environment["STEPPE_ENDPOINT"] = running.endpoint
        yield running
        plugin.environment["STEPPE_ENDPOINT"] = cloud.endpoint


def counted(cloud) -> dict[str, int]:
    return {name: len(found) for name, found in world(cloud).items() if name in COLLECTIONS}


@pytest.mark.parametrize("kind", KINDS)
def test_the_next_command_repairs_everything(plugin, cloud, proxy, kind):
    start, empty = world(cloud), counted(cloud)
    plugin.write(with_vm(cloud) + MORE)
    disturbed = Disturbed(plugin, proxy)
    plugin.must_apply()
    whole = counted(cloud)
    assert plugin.destroy().succeeded
    at = 1 + KINDS.index(kind)
    goes_on = True
    while goes_on:
        goes_on = disturbed.run(["apply"], at, kind)
        repaired = plugin.apply()
        assert repaired.succeeded, (at, disturbed.output.read_text(), repaired.output)
        done = plugin.run("plan", "-detailed-exitcode", "-no-color", "-input=false")
        assert done.status == 0, (at, disturbed.output.read_text(), done.output)
        assert counted(cloud) == whole, at
        disturbed.run(["destroy"], at, kind)
        done = plugin.destroy()
        assert done.succeeded, (at, disturbed.output.read_text(), done.output)
        assert counted(cloud) == empty, at
        at += len(KINDS)
    assert world(cloud) == start


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
