"""Ways into a running domain's screen and serial line, as connected sockets; libvirt hands QEMU the other end.

The graphics socket is opened by libvirt without asking QEMU's password: the agent has authenticated the caller. The serial
line is a UNIX socket that QEMU listens on beside its log; it takes one connection at a time.
"""

import socket
from typing import Any
from xml.etree import ElementTree as ET

import libvirt

from hostagent.contract.error import rejected
from hostagent.contract.vm import ConsoleKind


def connect(domain: Any, kind: ConsoleKind) -> socket.socket:
    """Raises no_console when the running domain has none of this kind."""
    live = ET.fromstring(domain.XMLDesc(0))  # noqa: S314 from libvirtd
    if domain.isActive():
        if kind == "serial":
            source = live.find("devices/serial[@type='unix']/source")
            if source is not None:
                return _serial(source.get("path", ""))
        else:
            kinds = [graphics.get("type") for graphics in live.findall("devices/graphics")]
            if kind in kinds:
                descriptor = domain.openGraphicsFD(kinds.index(kind), libvirt.VIR_DOMAIN_OPEN_GRAPHICS_SKIPAUTH)
                return socket.socket(fileno=descriptor)
    raise rejected("no_console", f"the VM has no {kind} console now")


def _serial(path: str) -> socket.socket:
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.setblocking(False)  # a connect that must wait is refused: the caller has closed the one before
    try:
        line.connect(path)
    except OSError as error:
        line.close()
        raise rejected("no_console", f"the serial line cannot be opened: {error.strerror}") from error
    return line


def screenshot(domain: Any) -> bytes:
    """The first screen, as PNG."""
    if not domain.isActive():
        raise rejected("no_console", "the VM does not run")
    stream = domain.connect().newStream(0)
    kind = domain.screenshot(stream, 0, 0)
    parts: list[bytes] = []
    stream.recvAll(lambda _stream, data, into: into.append(data), parts)
    stream.finish()
    if kind != "image/png":
        raise rejected("no_console", f"QEMU gives screenshots as {kind} only; QEMU 7.1 or later is needed")
    return b"".join(parts)
