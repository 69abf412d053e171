"""A VM goes to another host with its disk, declared in Terraform.

Real hosts, real guests: the guest writes random data and its checksum before, and verifies them after.
"""

import os
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
GLOBAL = "/global-configurations"
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

    def be_impatient(self) -> None:
        """A host that is silent for seconds is lost: not to be asked for while an agent is killed and started again."""
        for name in ("ping.interval", "ping.grace", "move.patience"):
            self.cloud.api.action(f"{GLOBAL}/host/{name}", "updateGlobalConfig", {"value": "3"}, timeout=30)

    def begin_move(self, vm: Vm, host: str, bandwidth: int | None = SLOW) -> str:
        """The job of a move of the stopped VM."""
        job, answer = self.ask_to_move(vm, host, bandwidth)
        assert answer.status == 202, answer.body
        return job

    def ask_to_move(self, vm: Vm, host: str, bandwidth: int | None = SLOW) -> tuple[str, Any]:
        uuid = self.cloud.api.query("hosts", managementIp=self.lab.hosts[host].address)[0]["uuid"]
        job = os.urandom(16).hex()
        body = {"localStorageMigrateVm": {"destHostUuid": uuid, "bandwidth": bandwidth}}
        path = f"/vm-instances/{vm.uuid}/actions"
        answer = self.cloud.api._submit("PUT", path, body, {"X-Job-UUID": job})
        assert answer is not None
        return job, answer

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
