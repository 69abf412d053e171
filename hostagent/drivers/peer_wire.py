"""How two agents talk while one copies from the other: frames of JSON over mutual TLS 1.3, file content after a frame.

    {"export": …, "secret": …}           → {}
    {"map": name}                        → {"size", "mode", "allocated", "runs": [[first window, how many], …]}
    {"digest": name, "window": n}        → {"digest"}
    {"read": name, "window": n}          → {"digest", "segments": [[offset, length], …]} and their bytes
Any of them may be answered with {"error": code, "message": …}.
"""

import json
import socket
import ssl
import struct
from pathlib import Path
from typing import Any

LARGEST = 64 << 20  # bytes of a frame: the map of a file of many terabytes
SILENCE = 20.0  # seconds after which the other side counts as gone
_LENGTH = struct.Struct(">I")
Frame = dict[str, Any]


class Gone(OSError):
    """The other side closed the connection or sent what is no frame."""


def context(server_side: bool, certificate: Path, key: Path, agent_ca: Path) -> ssl.SSLContext:
    """Both sides show a certificate of the agent CA; nobody else's is accepted."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server_side else ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.load_cert_chain(certificate, key)
    made.load_verify_locations(agent_ca)
    made.verify_mode = ssl.CERT_REQUIRED
    if server_side:
        made.num_tickets = 0
    return made


def peer_name(connection: ssl.SSLSocket) -> str:
    """The common name of the other side's certificate: its agent's uuid."""
    certificate = connection.getpeercert() or {}
    subject: Any = certificate.get("subject", ())
    return next((value for part in subject for key, value in part if key == "commonName"), "")


def send(connection: socket.socket, frame: Frame) -> None:
    body = json.dumps(frame).encode()
    connection.sendall(_LENGTH.pack(len(body)) + body)


def receive(connection: socket.socket) -> Frame:
    """Raises: Gone."""
    head = bytearray(_LENGTH.size)
    receive_into(connection, memoryview(head))
    (length,) = _LENGTH.unpack(head)
    if length > LARGEST:
        raise Gone(f"a frame of {length} bytes")
    body = bytearray(length)
    receive_into(connection, memoryview(body))
    try:
        return dict(json.loads(body))
    except (ValueError, TypeError):
        raise Gone("no frame of JSON") from None


def receive_into(connection: socket.socket, buffer: memoryview) -> None:
    """Fill the buffer. Raises: Gone."""
    have, size = 0, len(buffer)
    while have < size:
        count = connection.recv_into(buffer[have:])
        if not count:
            raise Gone("the connection was closed")
        have += count
