"""What a moving VM's source may say to the destination's libvirtd: that move, and nothing else."""

import struct
from typing import Any

import pytest

from hostagent.contract import NicSpec
from hostagent.drivers import domain_xml
from hostagent.drivers.live_migration import over_there
from hostagent.drivers.migration_guard import Forbidden, Guard, check_domain
from hostagent.ports.hypervisor import Domain, DomainDisk
from hostagent.ports.peers import Admitted

VM, PATH, LOG = "3" * 32, "/srv/ps/top.qcow2", "/var/log/libvirt/steppe/x.log"
ADMITTED = Admitted(
    vm_uuid=VM,
    files=frozenset({PATH, LOG, "/var/log/libvirt/steppe/x.sock"}),
    ports=frozenset({("br_eth0", "tap1")}),
    console_listen="10.0.0.2",
    sockets=frozenset({"/run/move/memory", "/run/move/disks"}),
)
PREPARE, FINISH, LIVE = 303, 306, 0x1 | 0x2 | 0x20 | 0x80


def xml(console_mode: Any = "vncAndSpice", boot_once: Any = ("CdRom",)) -> str:
    """As the source's agent sends it."""
    nic = NicSpec(nic_uuid="4" * 32, mac="fa:00:00:00:00:01", bridge="br_eth0", tap="tap1", device_id=0)
    domain = Domain(
        uuid=VM,
        name="/etc/passwd",  # a name is for people
        generation=1,
        boot_token="one",
        cpu_num=1,
        memory_bytes=64 << 20,
        disks=(DomainDisk(PATH, "aaaa", 0, "virtio"),),
        cds=(None,),
        nics=(nic,),
        boot_order=("HardDisk", "CdRom"),
        boot_once=boot_once,
        cpu_mode="none",
        console_mode=console_mode,
    )
    built = domain_xml.build(domain, domain_type="qemu", cpu=None, serial_log="/elsewhere/y.log")
    return over_there(built, LOG, "10.0.0.2")


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack(">I", len(data)) + data + b"\0" * (-len(data) % 4)


def frame(procedure: int, body: bytes = b"", program: int = 0x20008086) -> bytes:
    return struct.pack(">7I", 28 + len(body), program, 1, procedure, 0, 1, 0) + body


def call(procedure: int = PREPARE, flags: int = LIVE, **parameters: str) -> bytes:
    given = {"destination_xml": xml(), "migrate_uri": "unix:///run/move/memory", "destination_name": VM} | parameters
    body = struct.pack(">I", len(given)) + b"".join(text(k) + struct.pack(">I", 7) + text(v) for k, v in given.items())
    return frame(procedure, body + text("<qemu-migration/>") + struct.pack(">I", flags))


def passed(*frames: bytes) -> bytes:
    return Guard(ADMITTED)(memoryview(b"".join(frames)))


def test_a_whole_move_passes_in_any_pieces() -> None:
    said = b"".join(
        [frame(66), frame(1, text("qemu:///system")), frame(60), frame(360), call(), call(FINISH), frame(2)]
    )
    said += frame(1, program=0x6B656570)
    assert passed(said) == said
    guard, heard = Guard(ADMITTED), b""
    for at in range(0, len(said), 1000):
        heard += guard(memoryview(said)[at : at + 1000])
    assert heard == said


def test_the_boot_order_that_lasts_goes_along() -> None:
    order = {d.get("device"): d.find("boot") for d in domain_xml.ET.fromstring(xml()).iterfind("devices/disk")}
    assert [boot.get("order") for boot in (order["disk"], order["cdrom"])] == ["1", "2"]  # type: ignore[union-attr]
    assert domain_xml.read_lasting_boot_order(xml()) is None


@pytest.mark.parametrize("procedure", [10, 11, 110, 151, 208, 300])
def test_any_other_call_is_forbidden(procedure: int) -> None:
    with pytest.raises(Forbidden, match=f"call {procedure}"):
        passed(frame(60), frame(procedure))


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (frame(1, program=0x20008087), "program 0x20008087"),
        (call(flags=LIVE & ~0x20), "flags"),  # it would run by itself
        (call(flags=LIVE | 0x8), "flags"),  # it would define the domain
        (call(FINISH, flags=0), "flags"),
        (call(persistent_xml="<domain/>"), "parameter 'persistent_xml'"),
        (call(migrate_uri="exec:/bin/sh"), "migrate_uri"),
        (call(disks_uri="unix:///run/libvirt/libvirt-sock"), "disks_uri"),
        (frame(PREPARE, struct.pack(">3I", 0, 0, LIVE)), "cannot be read"),
        (frame(PREPARE, b"\0\0\0\5"), "cannot be read"),
        (struct.pack(">7I", 1 << 30, 0x20008086, 1, 60, 0, 1, 0), "a frame of"),
        (struct.pack(">7I", 4, 0x20008086, 1, 60, 0, 1, 0), "a frame of"),
    ],
)
def test_what_is_forbidden_of_a_move(bad: bytes, why: str) -> None:
    with pytest.raises(Forbidden, match=why):
        passed(bad)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (VM, "4" * 32),
        (PATH, "/dev/sda"),
        (PATH, "../../etc/shadow"),
        (f'<source file="{PATH}" />', '<source protocol="nbd" name="x"><host name="evil" /></source>'),
        ('<disk type="file" device="disk"', '<disk type="network" device="disk"'),
        ('bridge="br_eth0"', 'bridge="br_mgmt"'),
        ('dev="tap1"', 'dev="tap2"'),
        ('listen="10.0.0.2"', 'listen="0.0.0.0"'),
        ("<devices>", '<devices><hostdev mode="subsystem" type="pci" />'),
        ("<devices>", '<devices><filesystem type="mount"><source dir="/" /></filesystem>'),
        ("<devices>", "<devices><emulator>/bin/sh</emulator>"),
        ("<devices>", '<devices><channel type="unix"><source path="/run/x" /></channel>'),
        ("<devices>", '<devices><channel type="file"><source path="/etc/cron.d/x" /></channel>'),
        ('<smbios mode="sysinfo" />', "<kernel>/boot/vmlinuz</kernel>"),
        ("<devices>", '<commandline xmlns="http://libvirt.org/schemas/domain/qemu/1.0"><arg value="x" /></commandline><devices>'),
        ("<devices>", "<launchSecurity /><devices>"),
        (LOG, "/etc/crontab"),
        ("<domain", '<!DOCTYPE x [<!ENTITY y "z">]><domain'),
    ],
)  # fmt: skip
def test_what_is_forbidden_of_the_domain(old: str, new: str) -> None:
    good = xml()
    check_domain(good, ADMITTED)
    assert old in good
    with pytest.raises(Forbidden):
        check_domain(good.replace(old, new), ADMITTED)
