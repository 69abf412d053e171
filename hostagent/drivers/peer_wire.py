"""How two agents talk while one copies from the other: frames of JSON over mutual TLS 1.3, file content after a frame.

    {"export": …, "secret": …}           → {}
    {"map": name}                        → {"size", "mode", "allocated", "runs": [[first window, how many], …]}
    {"digest": name, "window": n}        → {"digest"}
    {"read": name, "window": n}          → {"segments": [[offset, length], …]}, their bytes, {"digest"}
    {"connect": name}                    → {}, and from then on what a UNIX socket says (see `splice`)
Each frame of an answer may be {"error": code, "message": …} instead. Requests are answered in their order, so the next may be
sent before the answer to the last one is there.
"""

import json
import socket
import ssl
import struct
from pathlib import Path
from typing import Any, cast

from hostagent.contract import HostError
from hostagent.contract.error import broken, rejected, temporary
from hostagent.ports.peers import Source

LARGEST = 64 << 20  # bytes of a frame: the map of a file of many terabytes
CONNECT = 5.0  # seconds
DEAD = 45
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


def keep_watch(plain: socket.socket) -> None:
    """A peer that falls silent is noticed within DEAD seconds, also by who only waits or only sends."""
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 5)):
        plain.setsockopt(socket.IPPROTO_TCP, option, value)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD * 1000)


def connect(context: ssl.SSLContext, source: Source) -> ssl.SSLSocket:
    """A connection to that agent, which has let us in. Raises: HostError."""
    try:
        return _connect(context, source)
    except OSError as error:
        raise unreachable(error) from error


def _connect(context: ssl.SSLContext, source: Source) -> ssl.SSLSocket:
    plain = socket.create_connection((source.ip, source.port), CONNECT)
    try:
        keep_watch(plain)
        plain.settimeout(SILENCE)
        connection = context.wrap_socket(plain, server_hostname=source.ip)
        if peer_name(connection) != source.agent_uuid:
            raise broken("internal", f"another host agent than {source.agent_uuid} answers at {source.ip}")
        send(connection, {"export": source.export_uuid, "secret": source.secret})
        checked(receive(connection))
    except BaseException:
        plain.close()
        raise
    return connection


def checked(answer: Frame) -> Frame:
    """Raises: HostError for an answer that is an error."""
    if "error" not in answer:
        return answer
    code, message = str(answer["error"]), str(answer.get("message"))
    raise temporary(code, message) if code == "unreachable" else rejected(code, message)


def unreachable(error: OSError) -> HostError:
    return temporary("unreachable", f"the source host does not answer: {error or type(error).__name__}")


def send(connection: socket.socket, frame: Frame) -> None:
    body = json.dumps(frame).encode()
    connection.sendall(_LENGTH.pack(len(body)) + body)


def receive(connection: ssl.SSLSocket) -> Frame:
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


def receive_into(connection: ssl.SSLSocket, buffer: memoryview) -> None:
    """Fill the buffer, a record of 16 KiB at a time. Raises: Gone."""
    have, size = 0, len(buffer)
    while have < size:
        try:
            count = cast(
                int, connection.read(size - have, buffer[have:])
            )  # what recv_into comes to; the stubs say bytes
        except ValueError:  # another thread closed it
            count = 0
        if not count:
            raise Gone("the connection was closed")
        have += count
