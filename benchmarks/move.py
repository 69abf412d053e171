"""A VM goes to another host: how long it is away, declared, by hand, and live.

    python -m benchmarks.move [--runs 3]

Two lab hosts, the tiny guest with 256 MiB of random data on its disk. *Declared* is what `terraform apply` does for a changed
`host_uuid`: prepare (while the VM runs, so not timed), stop, move, start. *By hand* is virsh shutdown, rsync without encryption between the hosts, define, start, of a
domain with the same definition and disk. Both are timed from the wish to stop until the start has been answered; the
guest's own boot comes on top for both. *Live* is the longest gap between two counts of the guest's own clock during MigrateVm.
Needs root, and what `make demo` needs.
"""

import argparse
import re
import subprocess
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from benchmarks.priority import ahead
from tools.demo.guest import TINY
from tools.demo.journey import Journey
from tools.demo.proof import Scene, Vm, logs_in, vms_of
from tools.lab import Host, wait_until

DATA_MIB = 256
HAND = "by-hand"
COUNT = "i=0; while true; do i=$((i+1)); echo $i $(cut -d' ' -f1 /proc/uptime) >>/run/count; usleep 10000; done"


class MoveAVm(Journey):
    example = "move-a-vm"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    ahead()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        journey = MoveAVm(TINY, Path(name) / "journey", say=lambda _: None)
        try:
            journey.apply()
            _run(journey, options.runs)
        finally:
            journey.close()


def _run(journey: MoveAVm, runs: int) -> None:
    outputs = journey.stack.outputs()
    (vm,) = vms_of(outputs, journey.lab)
    scene = Scene(journey.lab, journey.guest, journey.key, [vm], outputs["service_ip"])
    logs_in(scene, vm)
    scene.ssh(vm, f"dd if=/dev/urandom of=/data/blob bs=1M count={_room(scene, vm)} 2>/dev/null; sync", user="root")
    here, there = journey.lab.hosts[vm.host], next(h for n, h in journey.lab.hosts.items() if n != vm.host)
    declared, by_hand, live = [], [], []
    _clone(journey, vm, here)
    for _ in range(runs):
        declared.append(_declared(journey, scene, vm, here, there))  # first: it brings the base image for both
        by_hand.append(_by_hand(here, there))
        here, there = there, here
    vm = Vm(vm.name, vm.uuid, vm.ip, vm.mac, here.name)
    here.inside.run("virsh", "-c", "qemu:///system", "destroy", HAND, check=False)
    logs_in(scene, vm)
    journey.cloud.api.action(
        "/global-configurations/localStoragePrimaryStorage/liveMigrationWithStorage.allow",
        "updateGlobalConfig",
        {"value": "true"},
        timeout=30,
    )
    scene.ssh(vm, f"({COUNT}) >/dev/null 2>&1 &", user="root")
    for _ in range(runs):
        scene.ssh(vm, ": >/run/count", user="root")
        _api(journey, vm, "migrateVm", hostUuid=_uuid(journey, there))
        here, there = there, here
        vm = Vm(vm.name, vm.uuid, vm.ip, vm.mac, here.name)
        found = re.findall(r"^\d+ ([0-9.]+)$", scene.ssh(vm, "cat /run/count", user="root"), re.MULTILINE)
        live.append(max(float(later) - float(earlier) for earlier, later in pairwise(found)))
    for what, seconds in (("declared", declared), ("by hand", by_hand), ("live", live)):
        print(f"{what:10} best {min(seconds):6.2f} s   all {' '.join(f'{one:.2f}' for one in seconds)}")
    print(f"declared / by hand: {min(declared) / min(by_hand):.2f}")


def _room(scene: Scene, vm: Vm) -> int:
    free = int(scene.ssh(vm, "df -m /data | awk 'NR==2 {print $4}'", user="root"))
    return min(DATA_MIB, free - 2)


def _uuid(journey: MoveAVm, host: Host) -> str:
    return str(journey.cloud.api.query("hosts", managementIp=host.address)[0]["uuid"])


def _api(journey: MoveAVm, vm: Vm, name: str, **parameters: object) -> None:
    journey.cloud.api.action(f"/vm-instances/{vm.uuid}", name, parameters, timeout=600)


def _declared(journey: MoveAVm, scene: Scene, vm: Vm, here: Host, there: Host) -> float:
    logs_in(scene, Vm(vm.name, vm.uuid, vm.ip, vm.mac, here.name))  # it is up and hears its power button
    dest = _uuid(journey, there)
    _api(journey, vm, "localStorageMigrateVm", destHostUuid=dest, prepare=True)
    began = time.perf_counter()
    _api(journey, vm, "stopVmInstance")
    _api(journey, vm, "localStorageMigrateVm", destHostUuid=dest)
    _api(journey, vm, "startVmInstance")
    return time.perf_counter() - began


# -- by hand ---------------------------------------------------------------------------------------------------------


def _clone(journey: MoveAVm, vm: Vm, host: Host) -> None:
    """A domain like the VM's, without a NIC, on a copy of its disk."""
    xml = host.inside.run("virsh", "-c", "qemu:///system", "dumpxml", "--inactive", "--migratable", vm.uuid)
    (disk,) = re.findall(r"<source file='([^']+\.qcow2)'", xml)
    xml = re.sub(r"<uuid>.*?</uuid>", "", xml).replace(f"<name>{vm.uuid}</name>", f"<name>{HAND}</name>")
    xml = re.sub(r"<interface.*?</interface>|<(serial|console) .*?</\1>", "", xml, flags=re.DOTALL)
    xml = xml.replace("</devices>", "<serial type='file'><source path='/srv/hand.log'/></serial></devices>")
    copy = f"{Path(disk).parent}/{HAND}.qcow2"
    (host.directory / "srv/hand.xml").write_text(xml.replace(disk, copy))
    _api(journey, vm, "stopVmInstance")
    host.inside.run("cp", "--sparse=always", disk, copy)
    _api(journey, vm, "startVmInstance")
    (host.directory / "srv/disk").write_text(copy)
    for one in journey.lab.hosts.values():
        (one.directory / "srv/rsyncd.conf").write_text("use chroot = no\nuid = 0\ngid = 0\n[root]\npath = /\n")
        one.inside.start("rsync", "--daemon", "--no-detach", "--config", "/srv/rsyncd.conf", "--port", "8730")
    host.inside.run("virsh", "-c", "qemu:///system", "define", "/srv/hand.xml")
    host.inside.run("virsh", "-c", "qemu:///system", "start", HAND)


def _by_hand(here: Host, there: Host) -> float:
    log = here.directory / "srv/hand.log"
    wait_until(lambda: "TINY READY" in log.read_text(errors="replace"), "the guest is up", 180)
    disk = (here.directory / "srv/disk").read_text()
    virsh = ("virsh", "-c", "qemu:///system")
    there.inside.run("mkdir", "-p", str(Path(disk).parent))
    began = time.perf_counter()
    while "shut off" not in here.inside.run(*virsh, "domstate", HAND):
        here.inside.run(*virsh, "shutdown", HAND, check=False)
        time.sleep(0.05)
    xml = here.inside.run(*virsh, "dumpxml", "--inactive", HAND)
    there.inside.run("rsync", "--whole-file", f"rsync://{here.address}:8730/root{disk}", disk, timeout=600)
    (there.directory / "srv/hand.xml").write_text(xml)
    there.inside.run(*virsh, "define", "/srv/hand.xml")
    there.inside.run(*virsh, "start", HAND)
    seconds = time.perf_counter() - began
    log.unlink()
    here.inside.run(*virsh, "undefine", HAND)
    here.inside.run("rm", disk)
    (there.directory / "srv/disk").write_text(disk)
    return seconds


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"{error}: {error.stderr}") from error
