"""The domain XML, attribute by attribute; that libvirt takes it is shown on a real one in test_hypervisor."""

from xml.etree import ElementTree as ET

import pytest

from hostagent.contract import NicSpec
from hostagent.drivers.domain_xml import (
    build,
    choose_cpu,
    disk_xml,
    read_capabilities,
    read_disks,
    read_live,
    read_metadata,
)
from hostagent.ports.hypervisor import Domain, DomainDisk

UUID = "a" * 32
NIC = NicSpec(nic_uuid="b" * 32, mac="fa:00:00:00:00:01", bridge="br_eth0", tap="tap1", device_id=0, mtu=1450)


def domain(**changes: object) -> Domain:
    values: dict[str, object] = {
        "uuid": UUID,
        "name": "vm",
        "generation": 3,
        "boot_token": "token",
        "cpu_num": 2,
        "memory_bytes": 1 << 30,
        "disks": (DomainDisk("/ps/root", "r" * 20, 0, "virtio"), DomainDisk("/ps/data", "d" * 20, 1, "scsi")),
        "cds": (None,),
        "nics": (NIC,),
        "boot_order": ("HardDisk",),
        "cpu_mode": "none",
        "console_mode": "vnc",
    }
    return Domain(**(values | changes))  # type: ignore[arg-type]


def xml(cpu: str | None = None, **changes: object) -> ET.Element:
    return ET.fromstring(build(domain(**changes), domain_type="qemu", cpu=cpu, serial_log="/log/a"))


def boot_orders(root: ET.Element) -> dict[str, int]:
    devices = [*root.findall("devices/disk"), *root.findall("devices/interface")]
    return {
        device.find("target").get("dev", ""): int(device.find("boot").get("order", ""))  # type: ignore[union-attr]
        for device in devices
        if device.find("boot") is not None
    }


@pytest.mark.parametrize(
    ("order", "numbers"),
    [
        (("HardDisk",), {"vda": 1, "sdb": 2}),
        (("CdRom", "HardDisk"), {"sdc": 1, "vda": 2, "sdb": 3}),
        (("Network", "HardDisk", "CdRom"), {"tap1": 1, "vda": 2, "sdb": 3, "sdc": 4}),
        ((), {}),
    ],
)
def test_boot_order_numbers_devices_once(order: tuple[str, ...], numbers: dict[str, int]) -> None:
    assert boot_orders(xml(boot_order=order)) == numbers


def test_metadata_comes_back() -> None:
    assert read_metadata(ET.tostring(xml(boot_token="<&\"'>"), encoding="unicode")) == (3, "<&\"'>")
    assert read_metadata("<domain><metadata/></domain>") is None


def test_there_is_always_a_cd_drive() -> None:
    for cds in ((), (None,)):
        [drive] = [disk for disk in xml(cds=cds).findall("devices/disk") if disk.get("device") == "cdrom"]
        assert drive.find("source") is None


def test_disks_nics_and_consoles() -> None:
    root = xml()
    assert [disk.findtext("serial") for disk in root.findall("devices/disk")] == ["r" * 20, "d" * 20, None]
    nic = root.find("devices/interface")
    assert nic is not None
    assert [nic.find(tag).attrib for tag in ("source", "target", "mtu")] == [  # type: ignore[union-attr]
        {"bridge": "br_eth0"},
        {"dev": "tap1"},
        {"size": "1450"},
    ]
    assert [listen.get("address") for listen in root.findall("devices/graphics/listen")] == ["127.0.0.1"]
    assert root.find("cpu") is None


def test_many_disks_have_distinct_names() -> None:
    disks = tuple(DomainDisk(f"/ps/{number}", "", number, "virtio") for number in range(30))
    names = [target.get("dev") for target in xml(disks=disks).findall("devices/disk/target")]
    assert names[:2] + names[25:28] == ["vda", "vdb", "vdz", "vdaa", "vdab"]


def test_a_disk_to_plug_in_is_named_as_in_the_definition() -> None:
    disks = (DomainDisk("/ps/root", "root", 0, "virtio"), DomainDisk("/ps/<&>", "data", 7, "virtio"))
    defined = read_disks(build(domain(disks=disks), domain_type="qemu", cpu=None, serial_log="/log/a"))
    assert {serial: (disk.path, disk.target) for serial, disk in defined.items()} == {
        "root": ("/ps/root", "vda"),
        "data": ("/ps/<&>", "vdh"),
    }
    plugged = read_disks(f"<domain><devices>{disk_xml(disks[1])}</devices></domain>")["data"]
    assert (plugged.path, plugged.target) == ("/ps/<&>", "vdh")
    assert "boot" not in plugged.xml


@pytest.mark.parametrize(
    ("wish", "domain_type", "supported", "chosen"),
    [
        ("none", "kvm", "host-passthrough host-model maximum", None),
        ("host-model", "qemu", "host-model maximum", "host-model"),
        ("host-passthrough", "kvm", "host-passthrough maximum", "host-passthrough"),
        ("host-passthrough", "qemu", "host-passthrough maximum", "maximum"),
        ("host-passthrough", "qemu", "", None),
    ],
)
def test_cpu_mode_is_what_the_host_can_do(wish: str, domain_type: str, supported: str, chosen: str | None) -> None:
    assert choose_cpu(wish, domain_type, dict.fromkeys(supported.split(), True)) == chosen


def test_capabilities_and_live_facts_are_read() -> None:
    modes, models = read_capabilities(
        "<domainCapabilities><cpu><mode name='maximum' supported='yes'/><mode name='host-passthrough' supported='no'/>"
        "<mode name='custom' supported='yes'><model usable='yes'>qemu64</model><model usable='no'>EPYC</model></mode>"
        "</cpu></domainCapabilities>"
    )
    assert (modes["maximum"], modes["host-passthrough"], models) == (True, False, ["qemu64"])
    cpu, consoles, serial = read_live(
        "<domain><cpu mode='custom'><model>qemu64</model></cpu><devices>"
        "<graphics type='vnc' port='5901' listen='127.0.0.1'/><graphics type='spice' port='-1'/>"
        "<serial><log file='/log'/></serial></devices></domain>"
    )
    assert (cpu, [console.port for console in consoles], serial) == ("qemu64", [5901], "/log")
