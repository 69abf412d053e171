"""Applies and destroys that are interrupted or killed at each of their changes: the next one repairs everything.

A proxy holds the n-th change, before or after it is done, while Ctrl-C is pressed once or twice, or terraform or the
provider is killed. Then nothing exists twice, nothing is to be done, and a destroy leaves the world as it was.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provider.main import Steppe
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
        at += 2 * len(KINDS)  # every change is met by some kind, or its neighbour is
    assert world(cloud) == start


@pytest.mark.parametrize("at", [1, 6, 11, 16])
def test_an_apply_outlives_its_control_plane(steppe, cloud, monkeypatch, at):
    """Killed with requests under way, one of them lost before or after it was done, and started again."""
    start, killed = world(cloud), threading.Event()

    def by() -> None:
        cloud.kill_control_plane()
        killed.set()
        raise ConnectionResetError

    with before(cloud.endpoint) as proxy:
        monkeypatch.setenv("STEPPE_ENDPOINT", proxy.endpoint)
        steppe.write(with_vm(cloud) + MORE)
        proxy.disturb(at, by)
        process = steppe.start("apply", "-auto-approve", "-no-color")
        assert killed.wait(120)
        cloud.revive_control_plane()
        output, _ = process.communicate(timeout=240)
        if process.returncode:  # on a busy machine its start may take longer than a provider waits
            assert "cannot be reached" in output, output
            steppe.must_apply()
        assert steppe.plan() == {}
        done = steppe.destroy()
        assert done.succeeded, done.output
        monkeypatch.setenv("STEPPE_ENDPOINT", cloud.endpoint)
    assert world(cloud) == start


TWICE = """
resource "steppe_zone" "a" {{
  count = 8
  name  = "{name} ${{count.index}}"
}}
resource "steppe_global_config" "a" {{
  category = "image"
  name     = "expungePeriod"
  value    = "7200"
}}
resource "steppe_user_tag" "a" {{
  resource_uuid = "{zone}"
  resource_type = "ZoneVO"
  tag           = "taken"
}}
"""


def test_two_applies_at_once_on_one_object(serve, cloud, steppe):
    """An entry that always exists is set by both; a tag is made by one of them, and the other is told so."""
    steppe.write('resource "steppe_zone" "shared" {\n  name = "shared"\n}\n')
    steppe.must_apply()
    zone = steppe.state()["steppe_zone.shared"]["uuid"]
    both = [serve(Steppe()), serve(Steppe())]
    for number, one in enumerate(both):
        one.write(TWICE.format(name=f"of {number}", zone=zone))
    processes = [one.start("apply", "-auto-approve", "-no-color", "-parallelism=50") for one in both]
    told = [process.communicate(timeout=240)[0] for process in processes]
    made = ["steppe_user_tag.a" in one.state() for one in both]
    for process, text, mine, one in zip(processes, told, made, both, strict=True):
        assert (process.returncode == 0) == mine, text
        assert mine or "The tag exists" in text, text
        assert {"steppe_global_config.a", "steppe_zone.a[7]"} <= one.state().keys()
    assert made.count(True) == 1, told
    assert [one["tag"] for one in cloud.client.query("user-tags")] == ["taken"]
    for one in both:
        assert one.destroy().succeeded


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
