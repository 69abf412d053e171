"""Answers one name over DNS: `data-server`, which cloud-init's CloudStack source asks first (RFC 1035).

`data-server`, alone or in the network's domain, is the service address. Every other name is refused at once, so that a
resolver goes on to its next server; nothing is forwarded. No answer is larger than twice its question.
"""

from struct import Struct

HEADER = Struct("!HHHHHH")
RESPONSE, AUTHORITATIVE, RECURSION_DESIRED, OPCODE = 0x8000, 0x0400, 0x0100, 0x7800
NO_ERROR, FORMAT_ERROR, REFUSED = 0, 1, 5
A, ANY, INTERNET = 1, 255, 1
TIME_TO_LIVE = 60  # seconds
NAME = "data-server"


def answer(query: bytes, domain: str, address: bytes) -> bytes | None:
    """The response to a query, or None for what is no query. `address`: 4 bytes."""
    if len(query) < HEADER.size:
        return None
    number, flags, questions, *_ = HEADER.unpack_from(query)
    if flags & (RESPONSE | OPCODE):
        return None
    kept = RESPONSE | flags & RECURSION_DESIRED
    question = _question(query) if questions == 1 else None
    if question is None:
        return HEADER.pack(number, kept | FORMAT_ERROR, 0, 0, 0, 0)
    name, kind, space, end = question
    asked = query[HEADER.size : end]
    if name not in _names(domain) or space != INTERNET:
        return HEADER.pack(number, kept | REFUSED, 1, 0, 0, 0) + asked
    if kind not in (A, ANY):
        return HEADER.pack(number, kept | AUTHORITATIVE | NO_ERROR, 1, 0, 0, 0) + asked
    record = b"\xc0\x0c" + Struct("!HHIH").pack(A, INTERNET, TIME_TO_LIVE, 4) + address
    return HEADER.pack(number, kept | AUTHORITATIVE | NO_ERROR, 1, 1, 0, 0) + asked + record


def _names(domain: str) -> set[str]:
    return {NAME, f"{NAME}.{domain.rstrip('.').lower()}"} if domain else {NAME}


def _question(query: bytes) -> tuple[str, int, int, int] | None:
    """Name, type, class and end of the first question; a compressed name is none."""
    labels: list[bytes] = []
    position = HEADER.size
    while position < len(query) and (length := query[position]):
        if length > 63 or len(labels) > 126:
            return None
        labels.append(query[position + 1 : position + 1 + length])
        position += 1 + length
    end = position + 5
    if end > len(query):
        return None
    kind, space = Struct("!HH").unpack_from(query, position + 1)
    return b".".join(labels).decode("latin-1").lower(), kind, space, end
