"""The parser against any bytes: it never raises, and nobody unknown is ever answered."""

from hypothesis import given, settings
from hypothesis import strategies as st

from hostagent.dhcp import Responder
from hostagent.dhcp.frame import checksum, frame
from hostagent.dhcp.message import MINIMUM_SIZE, option, parse, read_options
from tests.hostagent.dhcp.packets import MAC, network, request, tlv

RESPONDER = Responder(network())
KNOWN = bytes.fromhex(MAC.replace(":", ""))
PACKETS = st.builds(
    lambda kind, options, flags: request(kind, flags=flags, options=options),
    st.integers(0, 255), st.binary(max_size=300), st.integers(0, 0xFFFF),
)  # fmt: skip


@given(st.binary(max_size=700))
@settings(max_examples=500)
def test_any_bytes(packet: bytes) -> None:
    assert parse(packet) is None or packet[236:240] == b"\x63\x82\x53\x63"
    RESPONDER.answer(packet)


@given(PACKETS, st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=8), st.integers(0, 600))
@settings(max_examples=500)
def test_damaged_requests(packet: bytes, damage: list[tuple[int, int]], cut: int) -> None:
    damaged = bytearray(packet)
    for at, value in damage:
        damaged[at % len(damaged)] = value
    reply = RESPONDER.answer(bytes(damaged[:cut]))
    assert reply is None or damaged[28:34] == KNOWN
    assert reply is None or len(reply.packet) >= MINIMUM_SIZE


@given(PACKETS, st.binary(min_size=6, max_size=6).filter(lambda mac: mac != KNOWN))
def test_unknown_clients_get_silence(packet: bytes, mac: bytes) -> None:
    assert RESPONDER.answer(packet[:28] + mac + packet[34:]) is None


@given(st.dictionaries(st.integers(1, 254), st.binary(min_size=1, max_size=700), max_size=5))
def test_options_are_read_as_written(options: dict[int, bytes]) -> None:
    written = b"".join(option(code, value) for code, value in options.items())
    assert read_options(b"\0" + written + b"\xff junk", 0, {}) == options


def test_overloaded_fields_are_read() -> None:
    packet = bytearray(request(3, options=tlv(52, b"\x03")))
    packet[108:114] = tlv(50, bytes((10, 50, 0, 11)))  # file
    packet[114] = 255
    packet[44:50] = tlv(61, b"\x01abc")[:6]  # sname
    packet[50] = 255
    parsed = parse(bytes(packet))
    assert parsed is not None
    assert parsed.options[50] == bytes((10, 50, 0, 11))
    assert parsed.options[61] == b"\x01abc"


def test_other_hardware_is_not_ours() -> None:
    packet = bytearray(request(1))
    for at, value in ((0, 2), (1, 6), (2, 16), (236, 0)):
        damaged = packet.copy()
        damaged[at] = value
        assert parse(bytes(damaged)) is None


@given(st.binary(max_size=600))
def test_checksums_of_a_frame_hold(payload: bytes) -> None:
    source, destination = bytes((10, 50, 0, 2)), bytes((10, 50, 0, 11))
    made = frame(b"\x02" * 6, KNOWN, source, destination, payload)
    ip, udp = made[14:34], made[34:]
    assert made[:14] == KNOWN + b"\x02" * 6 + b"\x08\x00"
    assert checksum(ip) == 0
    assert checksum(source + destination + bytes((0, 17)) + len(udp).to_bytes(2, "big") + udp) == 0
    assert int.from_bytes(ip[2:4], "big") == len(made) - 14
