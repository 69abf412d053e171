"""What the source of a move may say to this host's libvirtd: the calls of that one move, for that one VM, and nothing else.

libvirt's own migration lets the source's daemon command the destination's. Here each frame that comes in is read first: an
unknown call, a domain that is not the announced VM with the announced files, bridges and devices, or one that would begin
to run by itself ends the connection. A host agent can thus never command another, even while a VM moves.
Sources: src/rpc/virnetprotocol.x and src/remote/remote_protocol.x of libvirt (frames and numbers of calls).
"""

import struct
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from hostagent.ports.peers import Admitted

LARGEST = 4 << 20  # bytes of a frame
_HEADER = struct.Struct(">IIIIIII")  # length, program, version, procedure, type, serial, status
_REMOTE, _KEEPALIVE = 0x20008086, 0x6B656570
_OPEN, _CLOSE, _FEATURE, _AUTH_LIST, _REGISTER, _UNREGISTER, _PREPARE, _FINISH = 1, 2, 60, 66, 360, 361, 303, 306
_HARMLESS = {_OPEN, _CLOSE, _FEATURE, _AUTH_LIST, _REGISTER, _UNREGISTER}
_LIVE, _PEER2PEER, _PAUSED, _DISKS, _UNSAFE, _ABORT_ON_ERROR, _CONVERGE = 1, 2, 1 << 5, 1 << 7, 1 << 9, 1 << 12, 1 << 13
_FLAGS = _LIVE | _PEER2PEER | _PAUSED | _DISKS | _UNSAFE | _ABORT_ON_ERROR | _CONVERGE
_PARAMETERS = {"destination_xml", "destination_name", "migrate_uri", "disks_uri", "bandwidth"}
_OF_DOMAIN = {
    *(
        "name",
        "uuid",
        "title",
        "metadata",
        "memory",
        "currentMemory",
        "vcpu",
        "resource",
        "sysinfo",
        "os",
        "features",
        "cpu",
    ),
    *("clock", "on_poweroff", "on_reboot", "on_crash", "pm", "devices"),
}
_OF_OS = {"type", "boot", "smbios", "bootmenu"}
_DEVICES: dict[str, set[str | None]] = {  # and their types
    "emulator": {None},
    "disk": {"file"},
    "controller": {"scsi", "virtio-serial", "pci", "usb", "ide", "fdc"},
    "interface": {"bridge"},
    "serial": {"unix"},
    "console": {"unix"},
    "channel": {"unix", "spicevmc"},
    "input": {"tablet", "mouse", "keyboard"},
    "graphics": {"vnc", "spice"},
    "audio": {"none", "spice"},
    "video": {None},
    "memballoon": {None},
    "rng": {None},
}
_PATHS = {"/usr/bin/qemu-system-x86_64", "/dev/urandom", "/machine"}


class Forbidden(OSError):
    """Says what was asked for."""


class Guard:
    """Takes bytes as they come in and gives whole frames that may go on. Raises: Forbidden."""

    def __init__(self, admitted: Admitted) -> None:
        self._admitted = admitted
        self._waiting = bytearray()

    def __call__(self, data: memoryview) -> bytes:
        self._waiting += data
        passed = 0
        while len(self._waiting) - passed >= _HEADER.size:
            length, program, _, procedure, *_ = _HEADER.unpack_from(self._waiting, passed)
            if not _HEADER.size <= length <= LARGEST:
                raise Forbidden(f"a frame of {length} bytes")
            if len(self._waiting) - passed < length:
                break
            if program != _KEEPALIVE:
                self._check(program, procedure, bytes(self._waiting[passed + _HEADER.size : passed + length]))
            passed += length
        allowed = bytes(self._waiting[:passed])
        del self._waiting[:passed]
        return allowed

    def _check(self, program: int, procedure: int, body: bytes) -> None:
        if program == _REMOTE and procedure in _HARMLESS:
            return
        if program != _REMOTE or procedure not in (_PREPARE, _FINISH):
            raise Forbidden(f"call {procedure} of program {program:#x}")
        try:
            parameters, flags = _read(body)
            if unknown := parameters.keys() - _PARAMETERS:
                raise Forbidden(f"parameter {min(unknown)!r} of a migration")
            if flags & ~_FLAGS or not flags & _PAUSED:
                raise Forbidden(f"flags {flags:#x} of a migration")
            for name in ("migrate_uri", "disks_uri"):
                if name in parameters and parameters[name] not in self._uris():
                    raise Forbidden(f"{name} {parameters[name]!r}")
            if procedure == _PREPARE or "destination_xml" in parameters:
                check_domain(str(parameters["destination_xml"]), self._admitted)
        except (struct.error, UnicodeDecodeError, KeyError, ET.ParseError) as error:
            raise Forbidden(f"a call that cannot be read: {error!r}") from error

    def _uris(self) -> set[str]:
        return {f"unix://{path}" for path in self._admitted.sockets}


def _read(body: bytes) -> tuple[dict[str, str | int], int]:
    """Parameters and flags of both calls: typed parameters, a cookie, flags. Raises: struct.error, KeyError."""
    at = 0

    def number() -> int:
        nonlocal at
        at += 4
        return int(struct.unpack_from(">I", body, at - 4)[0])

    def opaque() -> bytes:
        nonlocal at
        length = number()
        if length > len(body) - at:
            raise struct.error("a length beyond the end")
        at += length + -length % 4
        return body[at - length - -length % 4 :][:length]

    parameters: dict[str, str | int] = {}
    for _ in range(number()):
        name, kind = opaque().decode(), number()
        value: str | int = (
            opaque().decode() if kind == 7 else number() if kind in (1, 2, 6) else (number() << 32) | number()
        )
        if name in parameters:
            raise KeyError(f"{name} twice")
        parameters[name] = value
    opaque()
    return parameters, number()


def check_domain(xml: str, admitted: Admitted) -> None:
    """Raises: Forbidden, ParseError."""
    if "<!" in xml or "<?" in xml:
        raise Forbidden("a domain with declarations")
    root = ET.fromstring(xml)  # noqa: S314 no entities: see above
    if root.tag != "domain" or root.findtext("name") != admitted.vm_uuid:
        raise Forbidden(f"domain {root.findtext('name')!r}")
    if (root.findtext("uuid") or "").replace("-", "") != admitted.vm_uuid:
        raise Forbidden(f"a domain with uuid {root.findtext('uuid')!r}")
    parts = [*((part.tag, _OF_DOMAIN) for part in root), *((part.tag, _OF_OS) for part in root.iterfind("os/*"))]
    if unknown := [tag for tag, known in parts if tag not in known]:
        raise Forbidden(f"a domain with <{unknown[0]}>")
    for device in root.iterfind("devices/*"):
        if device.get("type") not in _DEVICES.get(device.tag, ()):
            raise Forbidden(f"device {device.tag} of type {device.get('type')}")
    for nic in root.iterfind("devices/interface"):
        source, target = nic.find("source"), nic.find("target")
        found = (source.get("bridge") if source is not None else "", target.get("dev") if target is not None else "")
        if found not in admitted.ports or nic.find("script") is not None:
            raise Forbidden(f"an interface on {found}")
    for listen in (*root.iterfind("devices/graphics"), *root.iterfind("devices/graphics/listen")):
        if listen.get("listen", listen.get("address", "127.0.0.1")) != admitted.console_listen:
            raise Forbidden("a console at another address")
    allowed = admitted.files | _PATHS
    for text in _texts(root):
        if text.startswith(("/", ".", "@")) and text not in allowed:
            raise Forbidden(f"path {text!r}")
    for source in root.iterfind("devices/disk/source"):
        if set(source.attrib) - {"file", "index"} or source.get("file") not in admitted.files:
            raise Forbidden(f"disk {source.attrib}")


def _texts(root: ET.Element) -> Iterator[str]:
    """Every text and attribute but those that are for people."""
    for part in root:
        if part.tag not in ("title", "metadata", "sysinfo"):
            for element in part.iter():
                yield (element.text or "").strip()
                yield from element.attrib.values()
