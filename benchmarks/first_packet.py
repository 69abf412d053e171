"""From the CreateVmInstance request to the guest's first DHCP packet on its host, beside `virsh start` of the same domain.

    python -m benchmarks.first_packet [--runs 5] [--directory /var/tmp]

One real host of the lab (libvirtd, QEMU under emulation), the tiny guest, its image in the host's cache beforehand. In turn:
a VM is created over HTTP; then its domain's XML, with a fresh overlay of the same image at the same path, is defined by hand
and started. "tap" is when the guest's network device appears, just before QEMU runs: all that we add lies before it. Needs root.
"""

import argparse
import os
import select
import shutil
import socket
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from tools.guests import tiny
from tools.guests.cache import image
from tools.guests.kernel import KERNEL
from tools.lab import Host, Lab, in_network_of
from tools.lab.cloud import Cloud

MEMORY = 256 << 20
LIMIT = 120.0  # seconds for one guest to ask for its address
NETWORK = "10.20.0.0/24"
_LINKS = 1  # RTMGRP_LINK
TARGET = 1.1


Seen = tuple[float, float, float]  # seconds until the tap and until the packet; QEMU's processor seconds until then


class Watch:
    """The network of a host: when a device appears, and when a guest sends DHCP."""

    def __init__(self, host: Host) -> None:
        self._frames, self._links = in_network_of(host.inside.pid, self._open)
        self._host = host

    @staticmethod
    def _open() -> tuple[socket.socket, socket.socket]:
        frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
        links = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        links.bind((0, _LINKS))
        return frames, links

    def first(self, start: float) -> Seen:
        """When the first tap and the first DHCP packet came, in seconds after `start`."""
        tap = 0.0
        while time.monotonic() - start < LIMIT:
            for one in select.select([self._frames, self._links], [], [], 1.0)[0]:
                data = one.recv(65536)
                now = time.monotonic() - start
                if one is self._links:
                    tap = tap or (now if b"vnic" in data else 0.0)
                elif data[12:14] == b"\x08\x00" and data[23] == socket.IPPROTO_UDP and data[34:38] == b"\0D\0C":
                    return tap, now, self._emulated()
        raise TimeoutError("the guest did not ask for an address")

    def _emulated(self) -> float:
        """The one guest's QEMU."""
        fields = (
            self._host.inside.run("sh", "-c", "cat /proc/$(pgrep -x qemu-system-x86)/stat").rpartition(")")[2].split()
        )
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def forget(self) -> None:
        """What has come until now."""
        for one in (self._frames, self._links):
            while select.select([one], [], [], 0)[0]:
                one.recv(65536)


class Bench:
    def __init__(self, cloud: Cloud, guest: Path) -> None:
        [self.host] = cloud.add_hosts("host-a")
        self.api = cloud.api
        self.vm = self._fill(guest)
        self.watch = Watch(self.host)

    def _make(self, api: str, path: str, **parameters: object) -> str:
        return str(self.api.create(api, path, parameters, timeout=300).get("uuid"))

    def _fill(self, guest: Path) -> dict[str, Any]:
        """One of everything; the parameters of a VM."""
        zone = self._make("CreateZone", "/zones", name="z")
        cluster = self._make("CreateCluster", "/clusters", name="c", zoneUuid=zone, hypervisorType="KVM")
        self._make("AddKVMHost", "/hosts/kvm", name="h", managementIp=self.host.address, clusterUuid=cluster)
        path = "/primary-storage/local-storage"
        storage = self._make("AddLocalPrimaryStorage", path, name="s", url="/var/lib/steppe/storage", zoneUuid=zone)
        self._make("AttachPrimaryStorageToCluster", f"/clusters/{cluster}/primary-storage/{storage}")
        store = self._make("AddImageStoreBackupStorage", "/backup-storage/image-store", name="i", url="/images")
        self._make("AttachBackupStorageToZone", f"/zones/{zone}/backup-storage/{store}")
        where = {"url": f"file://{guest}", "format": "qcow2", "backupStorageUuids": [store]}
        template = self._make("AddImage", "/images", name="g", **where)
        l2 = self._make(
            "CreateL2NoVlanNetwork", "/l2-networks/no-vlan", name="n", zoneUuid=zone, physicalInterface="eth1"
        )
        self._make("AttachL2NetworkToCluster", f"/l2-networks/{l2}/clusters/{cluster}")
        l3 = self._make("CreateL3Network", "/l3-networks", name="n", l2NetworkUuid=l2)
        path = f"/l3-networks/{l3}"
        self._make("AddIpRangeByNetworkCidr", f"{path}/ip-ranges/by-cidr", name="r", networkCidr=NETWORK)
        [flat] = self.api.query("network-services/providers", type="Flat")
        services = {flat["uuid"]: ["DHCP", "Userdata"]}
        self._make("AttachNetworkServiceToL3Network", f"{path}/network-services", networkServices=services)
        size = {"cpuNum": 1, "memorySize": MEMORY}
        offering = self._make("CreateInstanceOffering", "/instance-offerings", name="o", **size)
        return {"imageUuid": template, "instanceOfferingUuid": offering, "l3NetworkUuids": [l3]}

    def ours(self, number: int) -> tuple[Seen, str]:
        """Create a VM; its domain's XML. It is gone afterwards."""
        with ThreadPoolExecutor(1) as pool:
            self.watch.forget()
            start = time.monotonic()
            job = pool.submit(self._make, "CreateVmInstance", "/vm-instances", name=f"vm-{number}", **self.vm)
            seen = self.watch.first(start)
            uuid = job.result()
        xml = self.host.inside.run("virsh", "-q", "dumpxml", "--inactive", "--security-info", uuid)
        self.api.delete("DestroyVmInstance", f"/vm-instances/{uuid}", timeout=60)
        self.api.action(f"/vm-instances/{uuid}", "expungeVmInstance", {}, timeout=60)
        return seen, xml

    def by_hand(self, xml: str) -> Seen:
        """The same domain, made and started with virsh. It is gone afterwards."""
        inside, name = self.host.inside, ET.fromstring(xml).findtext("name") or ""
        disk, base = self._overlay(xml)
        inside.run("mkdir", "-p", str(Path(disk).parent))
        inside.run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, disk)
        (self.host.directory / "agent/by-hand.xml").write_text(xml)
        inside.run("virsh", "-q", "define", "/var/lib/steppe/by-hand.xml")
        try:
            self.watch.forget()
            with ThreadPoolExecutor(1) as pool:
                start = time.monotonic()
                done = pool.submit(inside.run, "virsh", "-q", "start", name)
                seen = self.watch.first(start)
                done.result()
        finally:
            inside.run("virsh", "-q", "destroy", name, check=False)
            inside.run("virsh", "-q", "undefine", name)
            inside.run("rm", "-rf", str(Path(disk).parent))
        return seen

    def _overlay(self, xml: str) -> tuple[str, str]:
        """The root disk's path and its backing file, the only image in the cache."""
        [disk] = [one.attrib["file"] for one in ET.fromstring(xml).iterfind("devices/disk[@device='disk']/source")]
        [base] = self.host.inside.run("find", "/var/lib/steppe/storage", "-name", "*.qcow2", "-path", "*mage*").split()
        return disk, base


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        images = Path(name) / "images"
        images.mkdir()
        shutil.copyfile(image(tiny.DISK), images / "guest.qcow2")
        with Lab(Path(name) / "lab") as lab:
            bench = Bench(Cloud(lab, images, 0, image(KERNEL)), images / "guest.qcow2")
            bench.ours(0)  # brings the image into the cache
            ours, theirs = [], []
            for number in range(1, options.runs + 1):
                seen, xml = bench.ours(number)
                ours.append(seen)
                theirs.append(bench.by_hand(xml))
                print(f"{number}: {_words(ours[-1])}   virsh: {_words(theirs[-1])}", flush=True)
    print(f"image in the host's cache; medians of {options.runs} in turn; {os.cpu_count()} cores; QEMU emulates")
    print(f"{'from the request until':<28}{'CreateVmInstance':>18}{'virsh start':>14}{'more':>10}{'ratio':>8}")
    for what, index in (("the tap is there", 0), ("the first DHCP packet", 1), ("that packet, CPU of QEMU", 2)):
        mine, other = (statistics.median(seen[index] for seen in one) for one in (ours, theirs))
        target = f"  target <= {TARGET} x" if index == 1 else ""
        print(f"{what:<28}{mine:>16.3f} s{other:>12.3f} s{mine - other:>8.3f} s{mine / other:>6.2f} x{target}")


def _words(seen: Seen) -> str:
    return "tap {:.3f} s, packet {:.2f} s, QEMU used {:.2f} s".format(*seen)


if __name__ == "__main__":
    main()
