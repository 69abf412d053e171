"""A VM goes to another host with its disk: declared in Terraform, by hand, and while everything that takes part is killed.

Real hosts, real guests: the guest writes random data and its checksum before, and verifies them after.
"""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools import build_provider
from tools.demo.guest import TINY
from tools.demo.journey import STORAGE, Journey
from tools.demo.proof import Scene, Vm, address, logs_in, runs_on_its_host, vms_of
from tools.demo.terraform import TerraformFailed

pytestmark = [pytest.mark.host, pytest.mark.guest, pytest.mark.terraform, pytest.mark.timeout(900)]
SLOW = 3 << 20  # bytes a second: the copy lasts long enough to be disturbed
BLOB_MIB = 30


class MoveAVm(Journey):
    example = "move-a-vm"

    def now(self) -> tuple[Scene, Vm]:
        outputs = self.stack.outputs()
        scene = Scene(self.lab, self.guest, self.key, vms_of(outputs, self.lab), outputs["service_ip"])
        return scene, scene.vms[0]

    def disks(self) -> dict[str, list[str]]:
        """By host the volumes that lie there, unfinished copies included."""
        found = {}
        for name, host in self.lab.hosts.items():
            command = f"find {STORAGE}/rootVolumes -type f 2>/dev/null | sort"
            lines = host.inside.run("sh", "-c", command, check=False).splitlines()
            found[name] = [line.removeprefix(f"{STORAGE}/") for line in lines]
        return found

    def by_hand(self, vm: Vm, action: str) -> dict[str, Any]:
        return self.cloud.api.action(f"/vm-instances/{vm.uuid}", action, {}, timeout=180)

    def begin_move(self, vm: Vm, host: str) -> str:
        """The job of a slow move of the stopped VM."""
        uuid = self.cloud.api.query("hosts", managementIp=self.lab.hosts[host].address)[0]["uuid"]
        job = os.urandom(16).hex()
        body = {"localStorageMigrateVm": {"destHostUuid": uuid, "bandwidth": SLOW}}
        path = f"/vm-instances/{vm.uuid}/actions"
        answer = self.cloud.api._submit("PUT", path, body, {"X-Job-UUID": job})
        assert answer is not None and answer.status == 202, answer
        return job

    def copying(self, job: str) -> None:
        """Returns when bytes of the disk are on their way."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            progress = self.cloud.api._poll(job, 0, None).body.get("progress", {})
            if progress.get("done"):
                assert progress["done"] < progress["total"], "the copy was over before it could be disturbed"
                return
            time.sleep(0.1)
        raise AssertionError("the copy does not begin")

    def outcome(self, job: str) -> Any:
        self.cloud.api.settle(job, 180)
        return self.cloud.api._poll(job, 0, None)


def write(scene: Scene, vm: Vm) -> None:
    make = f"dd if=/dev/urandom of=/data/blob bs=1M count={BLOB_MIB} 2>/dev/null"
    scene.ssh(vm, f"{make} && sha256sum /data/blob >/data/sum && sync", user="root")


def verify(scene: Scene, vm: Vm) -> None:
    assert scene.ssh(vm, "sha256sum -c /data/sum", user="root").strip() == "/data/blob: OK"


@pytest.fixture
def journey(tmp_path: Path) -> Iterator[MoveAVm]:
    assert build_provider.main() == 0
    journey = MoveAVm(TINY, tmp_path, show=print)
    try:
        journey.apply()
        yield journey
    finally:
        journey.close()


def test_a_change_of_host_uuid_moves_the_vm_in_place(journey: MoveAVm) -> None:
    scene, vm = journey.now()
    logs_in(scene, vm)
    write(scene, vm)
    stack, source = journey.stack, vm.host

    stack.change(host_index=1, allow_restart=False)
    with pytest.raises(TerraformFailed, match="would have to be restarted"):
        stack.plan()
    stack.change(allow_restart=True)
    said: list[str] = []
    assert stack.plan(said.append)
    text = " ".join(line.strip("│ ") for line in said)
    assert "VM vm-1 will be stopped, moved and started again" in text
    assert "offline copy of" in text
    assert "0 to add, 1 to change, 0 to destroy" in text
    stack.apply(print)

    scene, moved = journey.now()
    assert moved.host != source
    assert (moved.uuid, moved.ip, moved.mac) == (vm.uuid, vm.ip, vm.mac)
    logs_in(scene, moved)
    verify(scene, moved)
    runs_on_its_host(scene, moved)
    address(scene, moved)
    assert [len(journey.disks()[name]) for name in (source, moved.host)] == [0, 1]
    assert not stack.plan(), "a second plan is empty"
    print(journey.destroy())


def test_whatever_is_killed_there_is_one_good_copy(journey: MoveAVm) -> None:
    cloud = journey.cloud
    scene, vm = journey.now()
    logs_in(scene, vm)
    write(scene, vm)
    journey.by_hand(vm, "stopVmInstance")
    here, there = vm.host, next(name for name in journey.lab.hosts if name != vm.host)
    (disk,) = journey.disks()[here]

    for killed in ("source", "destination", "control plane"):
        job = journey.begin_move(vm, there)
        journey.copying(job)
        if killed == "control plane":
            cloud.stop_control_plane(signal.SIGKILL)
            cloud.start_control_plane()
        else:
            name = here if killed == "source" else there
            cloud.stop_agent(name, signal.SIGKILL)
            time.sleep(1)
            cloud.start_agent(name)
        answer = journey.outcome(job)
        assert answer.status == 200, (killed, answer.body)
        here, there = there, here
        assert journey.disks() == {here: [disk], there: []}, killed

    started = journey.by_hand(vm, "startVmInstance")
    moved = Vm(vm.name, vm.uuid, vm.ip, vm.mac, here)
    assert [nic["ip"] for nic in started["vmNics"]] == [vm.ip]
    runs_on_its_host(scene, moved)
    logs_in(scene, moved)
    verify(scene, moved)
    journey.by_hand(vm, "stopVmInstance")

    job = journey.begin_move(vm, there)
    journey.copying(job)
    journey.lab.hosts[there].cut("eth0")
    answer = journey.outcome(job)
    assert answer.status == 503, answer.body
    assert "was lost" in answer.body["error"]["details"]
    assert journey.disks()[here] == [disk]
    assert journey.by_hand(vm, "startVmInstance")["state"] == "Running", "a silent destination holds nothing up"
    logs_in(scene, moved)
    verify(scene, moved)
