"""Guests outlive what manages them, and what happened meanwhile is noticed: real hosts, real guests, real kills."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tools import build_provider
from tools.demo.guest import TINY
from tools.demo.journey import Journey
from tools.demo.proof import Scene, Vm, logs_in, vms_of

pytestmark = [pytest.mark.host, pytest.mark.guest, pytest.mark.terraform, pytest.mark.timeout(600)]
SOON = 20.0  # seconds in which an event must be noticed, on a busy machine


class Walk:
    """A journey whose guests are up. Guests are asked as root, which has the key too."""

    def __init__(self, journey: Journey) -> None:
        self.journey, self.cloud, self.hosts = journey, journey.cloud, journey.lab.hosts
        outputs = journey.stack.outputs()
        self.scene = Scene(journey.lab, journey.guest, journey.key, vms_of(outputs, journey.lab), outputs["service_ip"])
        self.one, self.other = self.scene.vms

    def inside(self, vm: Vm, command: str) -> str:
        return self.scene.ssh(vm, command, user="root")

    def served(self, vm: Vm) -> list[str]:
        """What the guest gets when it asks now: its lease, and its instance id from both addresses of the metadata."""
        renew = "udhcpc -i eth0 -n -q -f -t 3 -T 2 -s /bin/true 2>&1 | grep -o 'lease of .* obtained from [0-9.]*'"
        fetch = "wget -q -O - http://{}/latest/meta-data/instance-id; echo"
        urls = (self.scene.service_ip, "169.254.169.254")
        return [self.inside(vm, renew).strip(), *(self.inside(vm, fetch.format(url)).strip() for url in urls)]

    def qemu(self, vm: Vm) -> int | None:
        """Process id of the VM's QEMU inside its host."""
        lines = self.hosts[vm.host].inside.run("ps", "-eo", "pid=,args=").splitlines()
        found = [int(line.split()[0]) for line in lines if f"guest={vm.uuid}" in line]
        return found[0] if found else None

    def kill_qemu(self, vm: Vm) -> None:
        self.hosts[vm.host].inside.run("kill", "-9", str(self.qemu(vm)))

    def state(self, vm: Vm) -> dict[str, Any]:
        found = self.cloud.api.find("vm-instances", vm.uuid)
        assert found is not None
        return found

    def becomes(self, vm: Vm, state: str) -> None:
        until(lambda: self.state(vm)["state"] == state, f"{vm.name} becomes {state}")


def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {SOON:g} s"
        time.sleep(0.2)


@pytest.fixture
def walk(tmp_path: Path) -> Iterator[Walk]:
    assert build_provider.main() == 0
    journey = Journey(TINY, tmp_path)
    try:
        journey.apply()
        walk = Walk(journey)
        for vm in walk.scene.vms:
            logs_in(walk.scene, vm)
        yield walk
    finally:
        journey.close()


def test_guests_do_not_notice_and_nothing_is_missed(walk: Walk) -> None:
    cloud, one, other = walk.cloud, walk.one, walk.other
    served, processes = walk.served(one), [walk.qemu(vm) for vm in walk.scene.vms]
    assert served == [f"lease of {one.ip} obtained from {walk.scene.service_ip}", one.uuid, one.uuid]

    cloud.stop_control_plane(signal.SIGKILL)
    for name in walk.hosts:
        cloud.stop_agent(name, signal.SIGKILL)
    assert walk.served(one) == served, "without control plane and agent a guest keeps DHCP and metadata"
    walk.kill_qemu(other)

    for name in walk.hosts:
        cloud.start_agent(name)
    cloud.start_control_plane()
    walk.becomes(other, "Stopped")
    assert walk.state(one)["state"] == "Running"
    assert walk.qemu(one) == processes[0], "agent and control plane came back without touching the guest"
    assert walk.served(one) == served

    walk.inside(one, "poweroff -f >/dev/null 2>&1 &")
    walk.becomes(one, "Stopped")
    for vm in walk.scene.vms:
        started = cloud.api.action(f"/vm-instances/{vm.uuid}", "startVmInstance", {}, timeout=120)
        assert started["state"] == "Running"
        assert [nic["ip"] for nic in started["vmNics"]] == [vm.ip]
    for vm in walk.scene.vms:
        logs_in(walk.scene, vm)
    assert walk.served(one) == served, "the same address, the same identity after a start"

    walk.kill_qemu(other)  # while everything is up
    walk.becomes(other, "Stopped")


def test_a_killed_control_plane_finishes_what_it_began(walk: Walk) -> None:
    cloud, one = walk.cloud, walk.one
    for round_ in range(3):
        job = os.urandom(16).hex()
        headers = {"X-Job-UUID": job}
        name = ("stopVmInstance", "startVmInstance", "rebootVmInstance")[round_]
        answer = cloud.api._submit("PUT", f"/vm-instances/{one.uuid}/actions", {name: {}}, headers)
        assert answer is not None and answer.status == 202
        time.sleep(0.05 * round_)
        cloud.stop_control_plane(signal.SIGKILL)
        cloud.start_control_plane()
        cloud.api.settle(job, 120)
        walk.becomes(one, "Stopped" if round_ == 0 else "Running")
    logs_in(walk.scene, one)
    assert walk.served(one)[0] == f"lease of {one.ip} obtained from {walk.scene.service_ip}"
