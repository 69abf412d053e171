"""What is answered, by message type and client state (RFC 2131 §4.3), and with which options."""

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostagent.contract import HostError
from hostagent.dhcp import Reply, Responder
from tests.hostagent.dhcp.packets import (
    GATEWAY,
    IP,
    MAC,
    OPTIONS_LIKE_DHCLIENT,
    SERVER,
    Read,
    network,
    port,
    read,
    request,
    tlv,
)

DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM = range(1, 9)
OTHER = "10.50.0.77"
RESPONDER = Responder(network())


def answered(packet: bytes, responder: Responder = RESPONDER) -> Read:
    reply = responder.answer(packet)
    assert reply is not None
    return read(reply.packet)


def addressed(packet: bytes) -> Reply:
    reply = RESPONDER.answer(packet)
    assert reply is not None
    return reply


@pytest.mark.parametrize(
    ("state", "packet", "kind"),
    [
        ("init", request(DISCOVER), OFFER),
        ("init, with a wish", request(DISCOVER, requested=OTHER), OFFER),
        ("selecting", request(REQUEST, requested=IP, server=SERVER), ACK),
        ("selecting another server", request(REQUEST, requested=IP, server=OTHER), None),
        ("selecting a wrong address", request(REQUEST, requested=OTHER, server=SERVER), NAK),
        ("init-reboot", request(REQUEST, requested=IP), ACK),
        ("init-reboot elsewhere", request(REQUEST, requested="192.168.1.5"), NAK),
        ("renewing, rebinding", request(REQUEST, ciaddr=IP), ACK),
        ("renewing an address that is another's now", request(REQUEST, ciaddr=OTHER), NAK),
        ("asking for nothing", request(REQUEST), None),
        ("informing", request(INFORM, ciaddr=IP), ACK),
        ("declining", request(DECLINE, requested=IP, server=SERVER), None),
        ("releasing", request(RELEASE, ciaddr=IP, server=SERVER), None),
        ("a server's message", request(OFFER), None),
        ("no type known", request(99), None),
    ],
)
def test_each_state_of_a_client(state: str, packet: bytes, kind: int | None) -> None:
    reply = RESPONDER.answer(packet)
    assert (reply and reply.kind) == kind, state
    unknown = packet.replace(bytes.fromhex(MAC.replace(":", "")), bytes.fromhex("fa00000000ee"))
    assert RESPONDER.answer(unknown) is None, f"unknown MAC, {state}"


def test_an_offer_and_its_acknowledgement_say_the_same() -> None:
    offer = answered(request(DISCOVER, options=tlv(55, OPTIONS_LIKE_DHCLIENT)))
    ack = answered(request(REQUEST, requested=IP, server=SERVER, options=tlv(55, OPTIONS_LIKE_DHCLIENT)))
    assert (offer.kind, ack.kind) == (OFFER, ACK)
    assert offer.options | {53: b""} == ack.options | {53: b""}
    assert (ack.yiaddr, ack.ciaddr, ack.xid, ack.mac.hex(":")) == (IP, "0.0.0.0", 0xCAFE, MAC)


def test_the_default_nic_gets_everything() -> None:
    ack = answered(request(DISCOVER))
    assert ack.addresses(1) == ["255.255.255.0"]
    assert ack.addresses(3) == [GATEWAY]
    assert ack.addresses(6) == ["9.9.9.9", "8.8.8.8"]
    assert ack.options[12] == b"guest1"
    assert ack.options[15] == b"lan.example"
    assert ack.options[26] == (1450).to_bytes(2, "big")
    assert ack.addresses(28) == ["10.50.0.255"]
    assert ack.addresses(42) == ["10.50.0.123"]
    assert [int.from_bytes(ack.options[code], "big") for code in (51, 58, 59)] == [3600, 1800, 3150]
    assert ack.addresses(54) == [SERVER]
    assert ack.options[119] == b"\x03lan\x07example\x00"
    metadata = b"\x20\xa9\xfe\xa9\xfe" + IPv4Address(SERVER).packed
    assert ack.options[121] == metadata + b"\x00" + IPv4Address(GATEWAY).packed
    assert ack.options[249] == ack.options[121]


def test_another_nic_gets_an_address_and_the_way_to_the_metadata_only() -> None:
    ack = answered(request(DISCOVER), Responder(network(port(is_default=False))))
    assert set(ack.options) == {53, 54, 51, 58, 59, 1, 26, 28, 121, 249}
    assert ack.options[121] == b"\x20\xa9\xfe\xa9\xfe" + IPv4Address(SERVER).packed


def test_declared_routes_come_before_the_default_route() -> None:
    routes = [("192.168.0.0/17", "10.50.0.9"), ("10.0.0.0/8", "10.50.0.8")]
    value = answered(request(DISCOVER), Responder(network(host_routes=routes, userdata=False))).options[121]
    assert value == (
        b"\x11\xc0\xa8\x00"
        + bytes((10, 50, 0, 9))
        + b"\x08\x0a"
        + bytes((10, 50, 0, 8))
        + b"\x00"
        + bytes((10, 50, 0, 1))
    )


def test_without_routes_the_router_option_is_enough() -> None:
    options = answered(request(DISCOVER), Responder(network(userdata=False))).options
    assert 121 not in options and 3 in options


def test_without_dns_the_service_that_knows_data_server_is_named() -> None:
    assert answered(request(DISCOVER), Responder(network(dns=[]))).addresses(6) == [SERVER]
    assert 6 not in answered(request(DISCOVER), Responder(network(dns=[], userdata=False))).options


def test_an_infinite_lease_is_never_renewed() -> None:
    options = answered(request(DISCOVER), Responder(network(lease_seconds=0xFFFFFFFF))).options
    assert options[51] == b"\xff\xff\xff\xff"
    assert 58 not in options and 59 not in options


@given(st.lists(st.integers(1, 254), min_size=1, max_size=60).map(bytes))
def test_the_parameter_list_chooses_and_orders(parameters: bytes) -> None:
    reply = answered(request(DISCOVER, options=tlv(55, parameters)))
    there = {1, 3, 6, 12, 15, 26, 28, 42, 119, 121, 249}
    always = [53, 54, 51, 58, 59]
    assert reply.order == always + [code for code in dict.fromkeys(parameters) if code in there]


def test_an_informed_client_gets_no_lease() -> None:
    reply = answered(request(INFORM, ciaddr=IP, options=tlv(55, b"\x06\x03")))
    assert (reply.kind, reply.yiaddr, reply.ciaddr) == (ACK, "0.0.0.0", IP)
    assert reply.order == [53, 54, 6, 3]


def test_a_refusal_says_why_and_nothing_else() -> None:
    reply = answered(request(REQUEST, requested=OTHER, options=tlv(61, b"\x01abcdef")))
    assert reply.order == [53, 54, 56, 61]
    assert (reply.yiaddr, reply.ciaddr, reply.siaddr) == ("0.0.0.0",) * 3


def test_identifiers_are_echoed_and_the_relays_option_is_last() -> None:
    options = tlv(82, b"\x01\x04port") + tlv(61, b"\xff\x00\x01\x02")
    reply = answered(request(DISCOVER, giaddr="10.50.0.254", options=options))
    assert reply.options[61] == b"\xff\x00\x01\x02"
    assert reply.order[-1] == 82
    assert reply.options[82] == b"\x01\x04port"
    assert reply.giaddr == "10.50.0.254"


def test_where_a_reply_goes() -> None:
    mac, ip = bytes.fromhex(MAC.replace(":", "")), IPv4Address(IP).packed
    everyone = b"\xff" * 4
    cases = {
        "relay": (request(DISCOVER, giaddr="10.50.0.254"), (IPv4Address("10.50.0.254").packed, b"", None)),
        "no address yet": (request(DISCOVER), (None, ip, mac)),
        "broadcast wished": (request(DISCOVER, flags=0x8000), (None, everyone, None)),
        "renewing": (request(REQUEST, ciaddr=IP, flags=0x8000), (None, ip, mac)),
        "refused": (request(REQUEST, requested=OTHER), (None, everyone, None)),
    }
    for name, (packet, expected) in cases.items():
        reply = addressed(packet)
        assert (reply.relay, reply.client, reply.mac) == expected, name
    refused = read(addressed(request(REQUEST, requested=OTHER, giaddr="10.50.0.254")).packet)
    assert refused.flags & 0x8000, "a relay must broadcast a refusal"


def test_network_boot() -> None:
    responder = Responder(network(tftp_server="10.50.0.9", boot_file="pxelinux.0"))
    reply = answered(request(DISCOVER, options=tlv(55, bytes((66, 67)))), responder)
    assert (reply.siaddr, reply.file) == ("10.50.0.9", b"pxelinux.0")
    assert (reply.options[66], reply.options[67]) == (b"10.50.0.9", b"pxelinux.0")
    assert answered(request(DISCOVER), Responder(network(tftp_server="boot.lan"))).siaddr == "0.0.0.0"


LONG = Responder(network(host_routes=[(f"10.{a}.{b}.0/24", "10.50.0.9") for a in range(10) for b in range(10)]))


@given(st.integers(0, 65535), st.binary(max_size=200), st.booleans())
def test_no_reply_is_larger_than_the_client_allows(size: int, client_id: bytes, asked: bool) -> None:
    """Not than 576 bytes when it does not say, and not than the MTU whatever it says."""
    options = tlv(61, client_id) + (tlv(57, size.to_bytes(2, "big")) if asked else b"")
    reply = LONG.answer(request(DISCOVER, options=options))
    assert reply is not None
    limit = min(max(size if asked else 576, 576), 1450)
    assert len(reply.packet) + 28 <= limit
    assert {53, 54, 51, 1, 61 if client_id else 1} <= set(read(reply.packet).options)


def test_a_long_option_is_split_and_joined() -> None:
    value = answered(request(DISCOVER, options=tlv(57, b"\xff\xff") + tlv(55, b"\x79")), LONG).options[121]
    assert len(value) == 9 + 100 * 8 + 5


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cidr": "10.50.0.0/40"}, "cidr"),
        ({"gateway": "10.50.0"}, "gateway"),
        ({"service_ip": None}, "service_ip"),
        ({"dns": ["dns.example"]}, "dns"),
        ({"ntp": ["::1"]}, "ntp"),
        ({"domain": "lan..example"}, "domain"),
        ({"domain": "büro"}, "domain"),
        ({"host_routes": [("10.0.0.0/8", "x")]}, "host_routes"),
        ({"host_routes": [("10.0.0.0.0/8", "10.50.0.1")]}, "host_routes"),
        ({"mtu": 70000}, "mtu"),
        ({"lease_seconds": -1}, "lease_seconds"),
        ({"ports": [port(ip="10.50.0.256")]}, "ip"),
        ({"ports": [port(mac="fa:00")]}, "mac"),
        ({"ports": [port(hostname="näme")]}, "hostname"),
    ],
)
def test_what_cannot_be_encoded_is_named(changes: dict[str, object], said: str) -> None:
    with pytest.raises(HostError) as raised:
        Responder(network().model_copy(update=changes))
    assert raised.value.problem.code == "invalid_spec"
    assert raised.value.problem.message.startswith(said)
