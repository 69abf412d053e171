"""DNS: one name is known, every other is refused at once, and any bytes are survived."""

from struct import pack, unpack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostagent.metadata.names import answer

ADDRESS = bytes((10, 50, 0, 2))
DOMAIN = "lan.example"


def query(name: str, kind: int = 1, space: int = 1, flags: int = 0x0100) -> bytes:
    labels = b"".join(bytes((len(label),)) + label.encode() for label in name.split("."))
    return pack("!HHHHHH", 7, flags, 1, 0, 0, 0) + labels + b"\0" + pack("!HH", kind, space)


def result(packet: bytes) -> tuple[int, int]:
    """Response code and number of answers; the header repeats the query's number and asks for nothing more."""
    response = answer(packet, DOMAIN, ADDRESS)
    assert response is not None
    number, flags, _, answers, *_ = unpack("!HHHHHH", response[:12])
    assert number == 7 and flags & 0x8000 and flags & 0x0100
    return flags & 0xF, answers


@pytest.mark.parametrize("name", ["data-server", "Data-Server", "data-server.lan.example", "DATA-SERVER.LAN.EXAMPLE"])
def test_data_server_is_the_service_address(name: str) -> None:
    assert result(query(name)) == (0, 1)
    response = answer(query(name), DOMAIN, ADDRESS)
    assert response is not None and response.endswith(b"\x00\x04" + ADDRESS)
    assert result(query(name, kind=28)) == (0, 0), "no IPv6 address, but the name exists"


@pytest.mark.parametrize("name", ["example.com", "data-server.example", "xdata-server", "lan.example"])
def test_other_names_are_refused(name: str) -> None:
    assert result(query(name)) == (5, 0)


def test_what_is_no_query_gets_silence_or_a_format_error() -> None:
    assert answer(b"short", DOMAIN, ADDRESS) is None
    assert answer(query("data-server", flags=0x8100), DOMAIN, ADDRESS) is None, "a response"
    assert result(query("data-server")[:-3]) == (1, 0)


@given(st.binary(max_size=520))
def test_any_bytes_are_survived_and_never_amplified(packet: bytes) -> None:
    response = answer(packet, DOMAIN, ADDRESS)
    assert response is None or len(response) <= max(2 * len(packet), 12)
