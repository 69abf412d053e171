"""A data volume goes from one host to another, and to a third, with its snapshot, declared in Terraform.

Real hosts, real guests: one guest writes files and their checksums before and after the snapshot, the other verifies them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools import build_provider
from tools.demo.guest import TINY
from tools.demo.journey import STORAGE, Journey
from tools.demo.proof import Scene, Vm, logs_in, vms_of
from tools.demo.terraform import TerraformFailed

pytestmark = [pytest.mark.host, pytest.mark.guest, pytest.mark.terraform, pytest.mark.timeout(900)]
MIB = 20  # of each file


class MoveAVolume(Journey):
    example = "move-a-volume"

    def now(self) -> tuple[Scene, list[Vm], dict[str, Any]]:
        outputs = self.stack.outputs()
        vms = vms_of(outputs, self.lab)
        return Scene(self.lab, self.guest, self.key, vms, outputs["service_ip"]), vms, outputs

    def files(self) -> dict[str, list[str]]:
        """By host the files of data volumes and their snapshots, unfinished copies included."""
        found = {}
        for name, host in self.lab.hosts.items():
            command = f"find {STORAGE}/dataVolumes -type f 2>/dev/null | sort"
            lines = host.inside.run("sh", "-c", command, check=False).splitlines()
            found[name] = [line.removeprefix(f"{STORAGE}/") for line in lines]
        return found

    def changed(self, **variables: Any) -> str:
        """What the plan for these variables says; it is applied, and a second plan is empty."""
        self.stack.change(**variables)
        said: list[str] = []
        assert self.stack.plan(said.append), "there is something to do"
        self.stack.apply(print)
        assert not self.stack.plan(print), "a second plan is empty"
        return " ".join(line.strip("│╷╵ ") for line in said)


class Disk:
    """The volume as a guest has it: found by its serial number, mounted at /mnt."""

    def __init__(self, scene: Scene, vm: Vm, volume_uuid: str) -> None:
        self.scene, self.vm = scene, vm
        find = f'for d in /sys/block/vd*; do [ "$(cat $d/serial)" = {volume_uuid[:20]} ] && echo /dev/${{d##*/}}; done'
        self.path = self.run(
            f"for i in 1 2 3 4 5 6 7 8 9; do x=$({find}); [ $x ] && break; sleep 1; done; echo $x"
        ).strip()
        assert self.path.startswith("/dev/vd"), self.path

    def run(self, command: str) -> str:
        return self.scene.ssh(self.vm, command, user="root", timeout=180)

    def make_file_system(self) -> None:
        self.run(f"mke2fs -F {self.path} >/dev/null")

    def mount(self) -> None:
        self.run(f"mkdir -p /mnt && mount -t ext4 {self.path} /mnt")

    def let_go(self) -> None:
        self.run("umount /mnt && sync")

    def write(self, name: str) -> None:
        make = f"dd if=/dev/urandom of=/mnt/{name} bs=1M count={MIB} 2>/dev/null"
        self.run(f"{make} && cd /mnt && sha256sum {name} >{name}.sum && sync")

    def verify(self, *names: str) -> None:
        for name in names:
            assert self.run(f"cd /mnt && sha256sum -c {name}.sum").strip() == f"{name}: OK"


class OverThreeHosts(MoveAVolume):
    hosts = ("host-a", "host-b", "host-c")


@pytest.fixture(params=[MoveAVolume])
def journey(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MoveAVolume]:
    assert build_provider.main() == 0
    journey: MoveAVolume = request.param(TINY, tmp_path, show=print)
    try:
        journey.apply()
        yield journey
    finally:
        journey.close()


def test_a_change_of_host_uuid_moves_the_volume_and_its_snapshot(journey: MoveAVolume) -> None:
    scene, (one, other), outputs = journey.now()
    assert not journey.stack.plan(), "a second plan is empty"
    assert outputs["may_go_to"] == {"hosts": ["host-2"], "excluded": {"host-1": "the volume lies there already"}}
    logs_in(scene, one)
    disk = Disk(scene, one, outputs["volume"]["uuid"])
    disk.make_file_system()
    disk.mount()
    disk.write("before")
    journey.changed(snapshots=["s"])
    disk.write("after")
    here = journey.files()
    assert [len(here[name]) for name in (one.host, other.host)] == [2, 0]

    journey.stack.change(host_index=1)
    with pytest.raises(TerraformFailed, match="is attached to VM vm-1"):
        journey.stack.plan()
    disk.let_go()
    assert "0 to add, 0 to change, 1 to destroy" in journey.changed(host_index=0, attached=False)

    text = journey.changed(host_index=1, attached=True)
    assert "Volume data will be moved with its snapshot" in text
    assert "From host host-1 to host-2: offline copy of" in text
    assert "1 to add, 1 to change, 0 to destroy" in text, "in place, and attached to the other VM"
    there = journey.files()
    assert (there[one.host], there[other.host]) == ([], here[one.host])
    assert journey.now()[2]["volume"]["uuid"] == outputs["volume"]["uuid"]

    logs_in(scene, other)
    disk = Disk(scene, other, outputs["volume"]["uuid"])
    disk.mount()
    disk.verify("before", "after")
    journey.changed(snapshots=[])  # merged beneath the running guest
    assert len(journey.files()[other.host]) == 1
    disk.verify("before", "after")
    disk.write("then")

    journey.changed(volume_mib=1536)
    assert int(disk.run(f"cat /sys/block/{disk.path[5:]}/size")) * 512 == 1536 << 20
    disk.verify("before", "after", "then")
    disk.let_go()
    print(journey.destroy())


@pytest.mark.parametrize("journey", [OverThreeHosts], indirect=True)
def test_the_snapshot_that_travelled_from_host_to_host_can_be_reverted_to(journey: MoveAVolume) -> None:
    scene, (one, _, last), outputs = journey.now()
    uuid = outputs["volume"]["uuid"]
    logs_in(scene, one)
    disk = Disk(scene, one, uuid)
    disk.make_file_system()
    disk.mount()
    disk.write("before")
    journey.changed(snapshots=["s"])
    disk.write("after")
    disk.let_go()
    journey.changed(attached=False)
    journey.changed(host_index=1)
    journey.changed(host_index=2)
    files = journey.files()
    assert [len(files[vm.host]) for vm in journey.now()[1]] == [0, 0, 2]
    (snapshot,) = journey.cloud.api.query("volume-snapshots", volumeUuid=uuid)
    path = f"/volume-snapshots/{snapshot['uuid']}"
    journey.cloud.api.action(path, "revertVolumeFromSnapshot", {}, timeout=120)
    journey.changed(attached=True)
    logs_in(scene, last)
    disk = Disk(scene, last, uuid)
    disk.mount()
    disk.verify("before")
    assert disk.run("ls /mnt").split() == ["before", "before.sum", "lost+found"]
