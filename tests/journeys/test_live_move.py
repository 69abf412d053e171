"""A VM goes to another host while it runs: the guest counts, writes and answers all the time, and nothing of it is lost.

Real hosts, a real guest with a snapshot under its root disk and a data volume; then moves that are cancelled and whose parts
are killed, on the way and in the pause in which the guest runs nowhere, and one whose destination falls silent.
"""

import contextlib
import itertools
import re
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.test_move import GLOBAL, MoveAVm, verify, write
from tools import build_provider
from tools.demo.guest import TINY
from tools.demo.proof import Scene, Vm, address, logs_in, runs_on_its_host
from tools.lab.namespace import wait_until

pytestmark = [pytest.mark.host, pytest.mark.guest, pytest.mark.terraform, pytest.mark.timeout(1500)]
SLOW = 8 << 20  # bytes a second: the move lasts long enough to be disturbed
COUNT = "i=0; while true; do i=$((i+1)); echo $i $(cut -d' ' -f1 /proc/uptime) >>/data/count; usleep 20000; done"


class Live(MoveAVm):
    def allow(self) -> None:
        path = f"{GLOBAL}/localStoragePrimaryStorage/liveMigrationWithStorage.allow"
        self.cloud.api.action(path, "updateGlobalConfig", {"value": "true"}, timeout=30)

    def begin_live(self, vm: Vm, host: str, **parameters: Any) -> str:
        uuid = self.cloud.api.query("hosts", managementIp=self.lab.hosts[host].address)[0]["uuid"]
        job = f"{time.time_ns():032x}"
        body = {"migrateVm": {"hostUuid": uuid, **parameters}}
        path = f"/vm-instances/{vm.uuid}/actions"
        answer = self.cloud.api._submit("PUT", path, body, {"X-Job-UUID": job})
        assert answer is not None and answer.status == 202, answer
        return job

    def copying(self, job: str) -> None:
        """Returns when the guest is on its way; how much there is to copy is known only as it goes."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            progress = self.cloud.api._poll(job, 0, None).body.get("progress", {})
            if progress.get("done") and progress["text"].startswith("moving"):
                return
            time.sleep(0.1)
        raise AssertionError("the guest does not set out")

    def end_in_the_pause(self, job: str, here: str, there: str) -> None:
        """The control plane is killed on the way; the hosts need it no more until the guest stands still over there. Where
        they lose each other on a busy machine, only it begins anew."""
        for _ in range(3):
            self.copying(job)
            self.cloud.stop_control_plane(signal.SIGKILL)
            with contextlib.suppress(TimeoutError):
                return wait_until(lambda: self._has_arrived(here, there), "the guest arrives", 120)
            self.cloud.start_control_plane()
        raise AssertionError(f"the guest does not arrive: it is {self.state(here)} and {self.state(there)}")

    def _has_arrived(self, here: str, there: str) -> bool:
        return self.state(there) == "paused" and self.state(here) == "shut off"

    def cancel_unseen(self, job: str) -> None:
        """As another node would note it."""
        with contextlib.closing(sqlite3.connect(self.lab.root / "controlplane" / "steppe.db")) as database, database:
            assert database.execute('UPDATE "OperationVO" SET cancelled = 1 WHERE uuid = ?', (job,)).rowcount == 1

    def state(self, host: str) -> str:
        """Of the one VM there."""
        virsh = ("virsh", "-c", "qemu:///system")
        inside = self.lab.hosts[host].inside
        return inside.run(*virsh, "domstate", inside.run(*virsh, "list", "--all", "--name").strip()).strip()

    def domains(self) -> dict[str, str]:
        """By host, what libvirt knows."""
        return {
            name: host.inside.run("virsh", "-c", "qemu:///system", "list", "--all", "--name").strip()
            for name, host in self.lab.hosts.items()
        }


@pytest.fixture
def journey(tmp_path: Path) -> Iterator[Live]:
    assert build_provider.main() == 0
    journey = Live(TINY, tmp_path, show=print)
    try:
        journey.apply()
        journey.allow()
        yield journey
    finally:
        journey.close()


def counted(scene: Scene, vm: Vm) -> list[tuple[int, float]]:
    text = scene.ssh(vm, "cat /data/count", user="root")
    return [(int(number), float(at)) for number, at in re.findall(r"^(\d+) ([0-9.]+)$", text, re.MULTILINE)]


def goes_on(scene: Scene, vm: Vm, boots: str) -> None:
    """It was never restarted: it counts without a gap, and its data is whole."""
    before = counted(scene, vm)
    time.sleep(1)
    after = counted(scene, vm)
    assert len(after) > len(before), "it does not count any more"
    assert [number for number, _ in after] == list(range(1, len(after) + 1))
    assert scene.ssh(vm, "cat /data/bootcount", user="root") == boots
    verify(scene, vm)


def at(vm: Vm, host: str) -> Vm:
    return Vm(vm.name, vm.uuid, vm.ip, vm.mac, host)


def test_a_running_vm_moves_with_its_disks_and_leaves_a_host_in_maintenance(journey: Live) -> None:
    scene, vm = journey.now()
    logs_in(scene, vm)
    api, here = journey.cloud.api, vm.host
    there = next(name for name in journey.lab.hosts if name != here)
    found = api.query("vm-instances", uuid=vm.uuid)[0]
    snapshot = api.create(
        "CreateVolumeSnapshot", f"/volumes/{found['rootVolumeUuid']}/volume-snapshots", {"name": "s"}, timeout=60
    )
    where = {"primaryStorageUuid": found["allVolumes"][0]["primaryStorageUuid"], "hostUuid": found["hostUuid"]}
    data = api.create("CreateDataVolume", "/volumes/data", {"name": "d", "diskSize": 64 << 20, **where}, timeout=60)
    api.create("AttachDataVolumeToVm", f"/volumes/{data['uuid']}/vm-instances/{vm.uuid}", {}, timeout=60)
    scene.ssh(
        vm, "dd if=/dev/urandom of=/dev/vdb bs=1M count=20 2>/dev/null; sync; sha256sum /dev/vdb >/run/vdb", user="root"
    )
    write(scene, vm)
    boots = scene.ssh(vm, "cat /data/bootcount", user="root")
    scene.ssh(vm, f"({COUNT}) >/dev/null 2>&1 &", user="root")

    job = journey.begin_live(vm, there)
    answer = journey.outcome(job)
    assert answer.status == 200, answer.body
    moved = at(vm, there)
    assert answer.body["inventory"]["state"] == "Running"
    assert [(nic["ip"], nic["mac"]) for nic in answer.body["inventory"]["vmNics"]] == [(vm.ip, vm.mac)]
    goes_on(scene, moved, boots)
    pause = max(later - earlier for (_, earlier), (_, later) in itertools.pairwise(counted(scene, moved)))
    print(f"longest pause between two counts, as the guest's clock sees it: {pause:.2f} s")
    assert scene.ssh(moved, "sha256sum -c /run/vdb", user="root").strip() == "/dev/vdb: OK"
    runs_on_its_host(scene, moved)
    address(scene, moved)
    assert journey.domains() == {here: "", there: vm.uuid}
    disks = journey.disks()
    assert (disks[here], len(disks[there])) == ([], 2), "the root volume and its snapshot"
    refs = {ref["resourceUuid"]: ref["hostUuid"] for ref in api.query("primary-storage/local-storage/resource-refs")}
    host = api.query("hosts", managementIp=journey.lab.hosts[there].address)[0]["uuid"]
    for uuid in (found["rootVolumeUuid"], snapshot["uuid"], data["uuid"]):
        assert refs[uuid] == host

    shown = api.action(f"/hosts/{host}", "changeHostState", {"stateEvent": "maintain"}, timeout=300)
    assert shown["state"] == "Maintenance"
    back = at(vm, here)
    goes_on(scene, back, boots)
    runs_on_its_host(scene, back)
    assert journey.domains() == {here: vm.uuid, there: ""}, "maintenance drains the host"
    assert (len(journey.disks()[here]), journey.disks()[there]) == (2, [])
    journey.by_hand(vm, "rebootVmInstance")
    logs_in(scene, back)
    verify(scene, back)


def test_a_live_move_that_is_disturbed_leaves_the_guest_where_it_was(journey: Live) -> None:
    scene, vm = journey.now()
    logs_in(scene, vm)
    here, there = vm.host, next(name for name in journey.lab.hosts if name != vm.host)
    write(scene, vm)
    boots = scene.ssh(vm, "cat /data/bootcount", user="root")
    scene.ssh(vm, f"({COUNT}) >/dev/null 2>&1 &", user="root")

    for disturbed in ("cancelled", "source agent killed", "control plane killed"):
        job = journey.begin_live(vm, there, bandwidth=SLOW)
        journey.copying(job)
        if disturbed == "cancelled":
            journey.cloud.api._authorised("DELETE", f"/api-jobs/{job}", repeatable=True)
        elif disturbed == "source agent killed":
            journey.cloud.stop_agent(here, signal.SIGKILL)
            time.sleep(1)
            journey.cloud.start_agent(here)
        else:
            journey.cloud.stop_control_plane(signal.SIGKILL)
            journey.cloud.start_control_plane()
        answer = journey.outcome(job)
        if answer.status == 200:
            here, there = there, here
        else:
            assert answer.status == 503, (disturbed, answer.body)
        print(disturbed, answer.status, answer.body.get("error", {}).get("details"))
        goes_on(scene, at(vm, here), boots)
        assert journey.domains() == {here: vm.uuid, there: ""}, disturbed
        disks = journey.disks()
        assert (len(disks[here]), disks[there]) == (1, []), disturbed

    for disturbed in ("cancelled", "nothing else", "both agents killed"):
        job = journey.begin_live(vm, there, bandwidth=SLOW)
        journey.end_in_the_pause(job, here, there)
        if disturbed == "both agents killed":
            for host in (here, there):
                journey.cloud.stop_agent(host, signal.SIGKILL)
        elif disturbed == "cancelled":
            journey.cancel_unseen(job)
        journey.cloud.start_control_plane()
        if disturbed == "both agents killed":
            for host in (here, there):
                journey.cloud.start_agent(host)
        answer = journey.outcome(job)
        if disturbed == "cancelled":
            assert answer.status == 503, answer.body
        else:
            assert answer.status == 200, (disturbed, answer.body)
            here, there = there, here
        goes_on(scene, at(vm, here), boots)  # which it would not, had it been started anew
        assert journey.domains() == {here: vm.uuid, there: ""}, disturbed
        disks = journey.disks()
        assert (len(disks[here]), disks[there]) == (1, []), disturbed

    job = journey.begin_live(vm, there, bandwidth=SLOW)
    journey.copying(job)
    journey.be_impatient()
    journey.lab.hosts[there].cut("eth0")
    answer = journey.outcome(job)
    assert answer.status == 503, answer.body
    goes_on(scene, at(vm, here), boots)
    assert journey.domains()[here] == vm.uuid
