"""A `Domain` as libvirt's XML, and what a running domain's XML says back. Pure functions.

Machine `pc` (the oldest guests know it), virtio-scsi CD drives (an empty one always, so that an ISO can be inserted
live), one `<boot order>` per device, SMBIOS that makes cloud-init's ds-identify choose the CloudStack data source.
Source: https://libvirt.org/formatdomain.html
"""

import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree as ET

from hostagent.contract import ConsoleAddress, NicSpec
from hostagent.ports.hypervisor import Domain, DomainDisk

NAMESPACE = "urn:steppe:vm"
_VM = f"{{{NAMESPACE}}}vm"
ET.register_namespace("steppe", NAMESPACE)
# ds-identify matches `CloudStack*` against the product name; an EC2-like serial would lead it astray, so there is none.
SMBIOS = {"manufacturer": "Apache Software Foundation", "product": "CloudStack KVM Hypervisor"}
CHASSIS = {"manufacturer": "Apache Software Foundation", "asset": "CloudStack"}
_PREFIX = {"virtio": "vd", "scsi": "sd", "ide": "hd"}


def build(
    domain: Domain, *, domain_type: Literal["kvm", "qemu"], cpu: str | None, serial_log: str, cache: str = "none"
) -> str:
    """`cpu` is libvirt's CPU mode that this host can really run, or None for QEMU's default."""
    root = ET.Element("domain", type=domain_type)
    _text(root, "name", domain.uuid)  # VM names may be equal and change, libvirt's may not
    _text(root, "uuid", domain.uuid)
    _text(root, "title", "".join(letter for letter in domain.name if letter.isprintable()))
    ours = {"generation": str(domain.generation), "boot_token": domain.boot_token}
    ours["cpu_mode"] = cpu or "none"
    if domain.boot_once:
        ours["boot_order"] = " ".join(domain.boot_order)  # what holds after the first boot
    ET.SubElement(ET.SubElement(root, "metadata"), _VM, ours)
    _text(root, "memory", str(domain.memory_bytes // 1024), unit="KiB")
    _text(root, "vcpu", str(domain.cpu_num))
    sysinfo = ET.SubElement(root, "sysinfo", type="smbios")
    for part, entries in (("system", SMBIOS), ("chassis", CHASSIS)):
        element = ET.SubElement(sysinfo, part)
        for name, value in entries.items():
            _text(element, "entry", value, name=name)
    system = ET.SubElement(root, "os")
    _text(system, "type", "hvm", arch="x86_64", machine="pc")
    ET.SubElement(system, "smbios", mode="sysinfo")
    features = ET.SubElement(root, "features")
    ET.SubElement(features, "acpi")
    ET.SubElement(features, "apic")
    if cpu is not None:
        ET.SubElement(root, "cpu", mode=cpu)
    ET.SubElement(root, "clock", offset="utc")
    for event, action in (("poweroff", "destroy"), ("reboot", "restart"), ("crash", "destroy")):
        _text(root, f"on_{event}", action)
    devices = ET.SubElement(root, "devices")
    ET.SubElement(devices, "controller", type="scsi", index="0", model="virtio-scsi")
    ET.SubElement(devices, "controller", type="virtio-serial", index="0")
    # 24 data volumes and several NICs are more than one bus has slots; the last slot leaves all others where they were.
    bridge = ET.SubElement(devices, "controller", type="pci", index="1", model="pci-bridge")
    ET.SubElement(bridge, "address", type="pci", domain="0x0000", bus="0x00", slot="0x1f", function="0x0")
    counts = {"HardDisk": len(domain.disks), "CdRom": max(len(domain.cds), 1), "Network": len(domain.nics)}
    order = BootNumbers(domain.boot_once or domain.boot_order, counts)
    _disks(devices, domain, order, cache)
    _nics(devices, domain, order)
    _console(devices, domain, serial_log)
    channel = ET.SubElement(devices, "channel", type="unix")
    ET.SubElement(channel, "target", type="virtio", name="org.qemu.guest_agent.0")
    rng = ET.SubElement(devices, "rng", model="virtio")
    _text(rng, "backend", "/dev/urandom", model="random")
    return ET.tostring(root, encoding="unicode")


class BootNumbers:
    """Numbers devices: all of the first kind, then all of the second; each number is used once."""

    def __init__(self, order: Iterable[str], counts: dict[str, int]) -> None:
        self._next: dict[str, int] = {}
        at = 1
        for kind in dict.fromkeys(order):
            self._next[kind] = at
            at += counts[kind]

    def take(self, kind: str) -> int | None:
        """The number of the next device of this kind, None for a kind that is not booted from."""
        number = self._next.get(kind)
        if number is not None:
            self._next[kind] += 1
        return number

    def write(self, device: ET.Element, kind: str) -> None:
        if number := self.take(kind):
            ET.SubElement(device, "boot", order=str(number))


def _disks(devices: ET.Element, domain: Domain, order: BootNumbers, cache: str) -> None:
    for disk in domain.disks:
        element = _disk(disk, cache)
        order.write(element, "HardDisk")
        devices.append(element)
    taken = [disk.device_id + 1 for disk in domain.disks if disk.bus == "scsi"]
    used = {"sd": max(taken, default=0)}
    for path in domain.cds or (None,):
        element = cd_drive(path, _device(used, "sd"))
        devices.append(element)
        order.write(element, "CdRom")


def cd_drive(path: str | None, target: str) -> ET.Element:
    element = ET.Element("disk", type="file", device="cdrom")
    ET.SubElement(element, "driver", name="qemu", type="raw")
    if path is not None:
        ET.SubElement(element, "source", file=path)
    ET.SubElement(element, "target", dev=target, bus="scsi")
    ET.SubElement(element, "readonly")
    return element


def _disk(disk: DomainDisk, cache: str) -> ET.Element:
    """Its name follows from its number, so that a disk plugged in later meets no other."""
    element = ET.Element("disk", type="file", device="disk")
    ET.SubElement(element, "driver", name="qemu", type="qcow2", cache=cache, discard="unmap")
    ET.SubElement(element, "source", file=disk.path)
    prefix = _PREFIX[disk.bus]
    ET.SubElement(element, "target", dev=_device({prefix: disk.device_id}, prefix), bus=disk.bus)
    _text(element, "serial", disk.serial)
    return element


def disk_xml(disk: DomainDisk, cache: str = "none") -> str:
    """One disk, to be plugged into a running domain; it takes part in no boot order."""
    return ET.tostring(_disk(disk, cache), encoding="unicode")


@dataclass(frozen=True, slots=True)
class LiveDisk:
    """A disk of a running domain; `target` is libvirt's name for it, `below` what it rests on: path → index there."""

    path: str
    target: str
    xml: str
    below: dict[str, str]
    is_switching: bool  # a commit into the file below is ready to end


def read_disks(xml: str) -> dict[str, LiveDisk]:
    """The disks of a domain's XML by their serials; CD drives have none."""
    found = {}
    for element in ET.fromstring(xml).findall("devices/disk[@device='disk']"):  # noqa: S314
        source, target = element.find("source"), element.find("target")
        if source is not None and target is not None and (serial := element.findtext("serial")):
            text = ET.tostring(element, encoding="unicode")
            mirror = element.find("mirror")
            ready = mirror is not None and mirror.get("ready") == "yes"
            found[serial] = LiveDisk(source.get("file", ""), target.get("dev", ""), text, _below(element), ready)
    return found


def _below(element: ET.Element) -> dict[str, str]:
    """Relative backing names lead through `..` here; paths are compared without."""
    found: dict[str, str] = {}
    store = element.find("backingStore")
    while store is not None:
        source = store.find("source")
        if source is not None:
            found[os.path.normpath(source.get("file", ""))] = store.get("index", "")
        store = store.find("backingStore")
    return found


def snapshot_xml(xml: str, files: Mapping[str, str]) -> str:
    """For the disks of the domain `xml` that have one of these files open (old → new); all others stay out of it."""
    root = ET.Element("domainsnapshot")
    disks = ET.SubElement(root, "disks")
    for element in ET.fromstring(xml).findall("devices/disk"):  # noqa: S314
        source, target = element.find("source"), element.find("target")
        name = "" if target is None else target.get("dev", "")
        new = files.get("" if source is None else source.get("file", ""))
        disk = ET.SubElement(disks, "disk", name=name, snapshot="no" if new is None else "external")
        if new is not None:
            ET.SubElement(disk, "driver", type="qcow2")
            ET.SubElement(disk, "source", file=new)
    return ET.tostring(root, encoding="unicode")


def _device(used: dict[str, int], prefix: str) -> str:
    used[prefix] += 1
    number, letters = used[prefix], ""
    while number > 0:  # a … z, aa …
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("a") + rest) + letters
    return prefix + letters


def _nics(devices: ET.Element, domain: Domain, order: BootNumbers) -> None:
    for nic in domain.nics:
        element = _nic(nic)
        order.write(element, "Network")
        devices.append(element)


def _nic(nic: NicSpec) -> ET.Element:
    element = ET.Element("interface", type="bridge")
    ET.SubElement(element, "mac", address=nic.mac)
    ET.SubElement(element, "source", bridge=nic.bridge)
    ET.SubElement(element, "target", dev=nic.tap)
    ET.SubElement(element, "model", type=nic.model)
    ET.SubElement(element, "mtu", size=str(nic.mtu))
    return element


def nic_xml(nic: NicSpec) -> str:
    """One NIC, to be plugged into a running domain; it takes part in no boot order."""
    return ET.tostring(_nic(nic), encoding="unicode")


def read_nics(xml: str) -> dict[str, str]:
    """The NICs of a domain's XML by their MAC addresses, each as XML."""
    return {
        mac.get("address", ""): ET.tostring(element, encoding="unicode")
        for element in ET.fromstring(xml).findall("devices/interface")  # noqa: S314
        if (mac := element.find("mac")) is not None
    }


def _console(devices: ET.Element, domain: Domain, serial_log: str) -> None:
    # The agent, who alone connects, always reads: a client that does not would block the guest.
    for kind in ("serial", "console"):
        element = ET.SubElement(devices, kind, type="unix")
        ET.SubElement(element, "source", mode="bind", path=serial_socket(serial_log))
        ET.SubElement(element, "log", file=serial_log, append="off")
        target = ET.SubElement(element, "target", port="0")
        if kind == "console":
            target.set("type", "serial")
    for kind in ("vnc", "spice"):
        if kind in domain.console_mode.lower():
            password = domain.console_password or secrets.token_hex(4)  # VNC knows eight characters
            graphics = ET.SubElement(devices, "graphics", type=kind, port="-1", autoport="yes", passwd=password)
            ET.SubElement(graphics, "listen", type="address", address=domain.console_listen)
    video = ET.SubElement(devices, "video")
    ET.SubElement(video, "model", type="qxl" if "spice" in domain.console_mode.lower() else "vga")
    ET.SubElement(devices, "input", type="tablet", bus="usb")


def read_metadata(xml: str) -> tuple[int, str] | None:
    """(generation, boot token) of a domain's XML, None when it is not one of ours."""
    element = ET.fromstring(xml).find(f"metadata/{_VM}")  # noqa: S314 from libvirtd, not from a guest
    if element is None:
        return None
    return int(element.get("generation", "0")), element.get("boot_token", "")


def serial_socket(serial_log: str) -> str:
    return serial_log.removesuffix(".log") + ".sock"


def read_cpu_mode(xml: str) -> str:
    """libvirt's CPU mode that was chosen for this domain; `none` is QEMU's default."""
    element = ET.fromstring(xml).find(f"metadata/{_VM}")  # noqa: S314
    return "" if element is None else element.get("cpu_mode", "")


def read_lasting_boot_order(xml: str) -> list[str] | None:
    """What holds after the first boot, when the domain is defined with another order for that one."""
    element = ET.fromstring(xml).find(f"metadata/{_VM}")  # noqa: S314
    order = None if element is None else element.get("boot_order")
    return None if order is None else order.split()


def make_boot_order_last(root: ET.Element) -> None:
    """A running domain's XML with the order that holds after its first boot, if it was started with another."""
    ours = root.find(f"metadata/{_VM}")
    order = None if ours is None else ours.get("boot_order")
    if ours is None or order is None:
        return
    del ours.attrib["boot_order"]
    kinds = {"HardDisk": "devices/disk[@device='disk']", "CdRom": "devices/disk[@device='cdrom']"}
    kinds["Network"] = "devices/interface"
    found = {kind: root.findall(path) for kind, path in kinds.items()}
    numbers = BootNumbers(order.split(), {kind: len(devices) for kind, devices in found.items()})
    for kind, devices in found.items():
        for device in devices:
            for old in device.findall("boot"):
                device.remove(old)
            numbers.write(device, kind)


def host_model(capabilities: str) -> str:
    """`<cpu>` of getDomainCapabilities that host-model stands for; "" when it is not supported."""
    mode = ET.fromstring(capabilities).find("cpu/mode[@name='host-model'][@supported='yes']")  # noqa: S314
    if mode is None or mode.find("model") is None:
        return ""
    cpu = ET.Element("cpu")
    for part in mode:
        if part.tag in ("model", "vendor", "feature"):
            cpu.append(part)
    return ET.tostring(cpu, encoding="unicode")


def cpu_features(cpu: str) -> list[str]:
    """Names of the features that a `<cpu>` has, sorted."""
    if not cpu:
        return []
    features = ET.fromstring(cpu).findall("feature")  # noqa: S314
    return sorted(
        feature.get("name", "") for feature in features if feature.get("policy") in (None, "require", "force")
    )


def read_live(xml: str) -> tuple[str, tuple[ConsoleAddress, ...], str]:
    """(CPU model, consoles, path of the serial log) of a domain's XML; ports are known while it runs."""
    root = ET.fromstring(xml)  # noqa: S314
    cpu = root.find("cpu")
    name = "" if cpu is None else (cpu.findtext("model") or cpu.get("mode") or "")
    consoles = tuple(
        ConsoleAddress(
            protocol="spice" if graphics.get("type") == "spice" else "vnc",
            host=graphics.get("listen", "127.0.0.1"),
            port=int(graphics.get("port", "-1")),
        )
        for graphics in root.findall("devices/graphics")
        if graphics.get("type") in ("vnc", "spice") and int(graphics.get("port", "-1")) > 0
    )
    serial = root.find("devices/serial/log")
    return name, consoles, "" if serial is None else serial.get("file", "")


def choose_cpu(wish: str, domain_type: str, modes: dict[str, bool]) -> str | None:
    """libvirt's CPU mode for a wish, from what getDomainCapabilities says (`modes`: name → supported).

    Under emulation `host-passthrough` does not exist; `maximum` is its nearest. Anything unsupported falls back to
    the next wider choice, at last to QEMU's default.
    """
    ladder = {
        "none": [],
        "host-model": ["host-model", "maximum"],
        "host-passthrough": ["host-passthrough", "maximum", "host-model"],
    }[wish]
    if domain_type == "qemu":
        ladder = [mode for mode in ladder if mode != "host-passthrough"]
    return next((mode for mode in ladder if modes.get(mode)), None)


def read_capabilities(xml: str) -> tuple[dict[str, bool], list[str]]:
    """(CPU modes → supported, usable CPU models) of getDomainCapabilities."""
    root = ET.fromstring(xml)  # noqa: S314
    modes = {mode.get("name", ""): mode.get("supported") == "yes" for mode in root.findall("cpu/mode")}
    models = [
        model.text or ""
        for model in root.findall("cpu/mode[@name='custom']/model")
        if model.get("usable") in ("yes", "unknown")
    ]
    return modes, models


def _text(parent: ET.Element, tag: str, text: str, **attributes: str) -> None:
    ET.SubElement(parent, tag, attributes).text = text
