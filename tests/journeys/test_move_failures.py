"""A stopped VM on its way to another host, and everything that may go wrong with it: there is one good copy, always.

Real hosts and a real guest's disk, whose files are compared by digest after each failure; the guest verifies its data at
the end. One lab sees all of it, one after the other.
"""

import hashlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.test_move import MoveAVm, verify, write
from tools import build_provider
from tools.demo.guest import TINY
from tools.demo.journey import STORAGE
from tools.demo.proof import Vm, logs_in, runs_on_its_host
from tools.lab.namespace import wait_until

pytestmark = [pytest.mark.host, pytest.mark.guest, pytest.mark.terraform, pytest.mark.timeout(900)]
MIB = 1 << 20


class Disturbed(MoveAVm):
    """`here` has the stopped VM, `there` has not; `content` are its files by their digests."""

    def set_out(self) -> None:
        self.scene, self.vm = self.now()
        logs_in(self.scene, self.vm)
        write(self.scene, self.vm)
        self.by_hand(self.vm, "stopVmInstance")
        self.here = self.vm.host
        (self.there,) = set(self.lab.hosts) - {self.here}
        self.content = self.files(self.here)

    def root(self, host: str) -> Path:
        """As this machine sees it."""
        return self.lab.hosts[host].directory / "agent" / Path(STORAGE).name / "rootVolumes"

    def files(self, host: str) -> dict[str, str]:
        root, found = self.root(host), {}
        for path in sorted(root.rglob("*")):
            if path.is_file():
                with path.open("rb") as file:
                    found[str(path.relative_to(root))] = hashlib.file_digest(file, "sha256").hexdigest()
        return found

    def stayed(self, answer: Any, code: int, *words: str) -> None:
        """It was refused or taken back, and said why."""
        assert answer.status == code, answer.body
        error = str(answer.body["error"])
        for word in words:
            assert word in error, error
        self.is_whole()

    def went(self, answer: Any) -> None:
        assert answer.status == 200, answer.body
        self.here, self.there = self.there, self.here
        self.is_whole()

    def is_whole(self) -> None:
        assert self.files(self.here) == self.content
        assert self.files(self.there) == {}

    def grows(self) -> None:
        """Returns when more of the copy lies over there than at first."""
        find = ("find", f"{STORAGE}/rootVolumes", "-name", "*.qcow2*", "-printf", "%b\\n")

        def allocated() -> int:
            return sum(int(line) for line in self.lab.hosts[self.there].inside.run(*find, check=False).split())

        before = allocated()
        wait_until(lambda: allocated() > before, "the copy goes on", 120)

    def kill_agents(self, *hosts: str) -> None:
        for host in hosts:
            self.cloud.stop_agent(host, signal.SIGKILL)
        for host in hosts:
            self.cloud.start_agent(host)


@pytest.fixture
def journey(tmp_path: Path) -> Iterator[Disturbed]:
    assert build_provider.main() == 0
    journey = Disturbed(TINY, tmp_path, show=print)
    try:
        journey.apply()
        journey.set_out()
        yield journey
    finally:
        journey.close()


def test_there_is_one_good_copy(journey: Disturbed) -> None:
    for failure in (full_disk, asked_meanwhile, killed_on_the_way, killed_after_the_flip, silent_destination):
        print(failure.__name__)
        failure(journey)
    moved = Vm(journey.vm.name, journey.vm.uuid, journey.vm.ip, journey.vm.mac, journey.here)
    started = journey.by_hand(moved, "startVmInstance")
    assert (started["state"], started["vmNics"][0]["ip"]) == ("Running", moved.ip)
    runs_on_its_host(journey.scene, moved)
    logs_in(journey.scene, moved)
    verify(journey.scene, moved)


def full_disk(journey: Disturbed) -> None:
    """It looked as if there were room: the disk is full in the middle of the copy."""
    inside, place = journey.lab.hosts[journey.there].inside, f"{STORAGE}/rootVolumes"
    inside.run("mkdir", "-p", place)
    inside.run("mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", place)
    answer = journey.outcome(journey.begin_move(journey.vm, journey.there, bandwidth=None))
    journey.stayed(answer, 503, "the destination could not take the files over", "no space left for")
    assert inside.run("find", place, "-type", "f") == ""
    inside.run("umount", place)


def asked_meanwhile(journey: Disturbed) -> None:
    """Somebody else wants to move the volume too, and a third one a snapshot of it."""
    job = journey.begin_move(journey.vm, journey.there, bandwidth=6 * MIB)
    journey.copying(job)
    _, again = journey.ask_to_move(journey.vm, journey.there)
    assert again.status == 503 and "is Migrating, it must be Ready" in str(again.body), again.body
    root = journey.cloud.api.query("vm-instances", uuid=journey.vm.uuid)[0]["rootVolumeUuid"]
    path = f"/volumes/{root}/volume-snapshots"
    taken = journey.cloud.api.create("CreateVolumeSnapshot", path, {"name": "s"}, timeout=180)
    assert journey.cloud.api._poll(job, 0, None).status == 200, "the snapshot waited"
    before, journey.content = journey.content, journey.files(journey.there)
    assert set(before.values()) < set(journey.content.values()), "what came is frozen"
    (ref,) = journey.cloud.api.query("primary-storage/local-storage/resource-refs", resourceUuid=taken["uuid"])
    (host,) = journey.cloud.api.query("hosts", managementIp=journey.lab.hosts[journey.there].address)
    assert ref["hostUuid"] == host["uuid"]
    journey.here, journey.there = journey.there, journey.here
    journey.is_whole()


def killed_on_the_way(journey: Disturbed) -> None:
    """Each of the three while it copies, and a bit flips in what is there; then both agents when all is there, and the flip
    is still to come."""
    job = journey.begin_move(journey.vm, journey.there, bandwidth=2 * MIB)
    journey.grows()
    journey.kill_agents(journey.here)
    journey.grows()
    journey.cloud.stop_agent(journey.there, signal.SIGKILL)
    flip_a_bit(max(journey.root(journey.there).rglob("*.part"), key=lambda path: path.stat().st_blocks))
    journey.cloud.start_agent(journey.there)
    journey.grows()
    journey.cloud.stop_control_plane(signal.SIGKILL)
    wait_until(lambda: journey.files(journey.there) == journey.content, "the hosts finish what they began", 120)
    assert journey.files(journey.here) == journey.content
    journey.kill_agents(journey.here, journey.there)
    journey.cloud.start_control_plane()
    journey.went(journey.outcome(job))


def flip_a_bit(path: Path) -> None:
    with path.open("r+b") as file:
        content = file.read()
        at = next(position for position in range(len(content)) if content[position])
        file.seek(at)
        file.write(bytes([content[at] ^ 4]))


def killed_after_the_flip(journey: Disturbed) -> None:
    """The source cannot delete its files, and then it dies with the control plane: what is left is never taken for a copy."""
    (name, *_) = journey.content
    inside, stuck = journey.lab.hosts[journey.here].inside, f"{STORAGE}/rootVolumes/{name}"
    inside.run("mount", "--bind", stuck, stuck)
    answer = journey.outcome(journey.begin_move(journey.vm, journey.there, bandwidth=None))
    assert answer.status == 200, answer.body
    assert journey.files(journey.there) == journey.content
    assert list(journey.files(journey.here)) == [name]
    journey.cloud.stop_control_plane(signal.SIGKILL)
    journey.kill_agents(journey.here, journey.there)
    inside.run("umount", stuck)
    with (journey.root(journey.here) / name).open("r+b") as file:
        file.write(b"old and of no use")
    journey.cloud.start_control_plane()
    journey.here, journey.there = journey.there, journey.here
    journey.went(journey.outcome(journey.begin_move(journey.vm, journey.there, bandwidth=None)))


def silent_destination(journey: Disturbed) -> None:
    job = journey.begin_move(journey.vm, journey.there)
    journey.copying(job)
    journey.be_impatient()
    journey.lab.hosts[journey.there].cut("eth0")
    answer = journey.outcome(job)
    assert answer.status == 503 and "was lost" in answer.body["error"]["details"], answer.body
    assert journey.files(journey.here) == journey.content
