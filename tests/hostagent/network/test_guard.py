"""The guard proved with frames: a guest (or the wire) sends what it must not, and a listener hears that it is gone.

Every proof has a counter-proof: the honest frame of the same kind arrives at the same listener.
"""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

import pytest

from hostagent.contract import SnapshotSpec
from hostagent.drivers import guard
from tests.hostagent.network.frames import BROADCAST, arp, dhcp_discover, ethernet, ipv4, router_advertisement, udp
from tests.hostagent.network.lab import SERVICE_IP, SERVICE_MAC, Guest, Host, Lab, heard, network, snapshot

STRANGER_MAC, STRANGER_IP = "fa:99:99:99:99:99", "10.50.0.99"
MARK = b"steppe-proof"

pytestmark = pytest.mark.host


@dataclass
class Scene:
    lab: Lab
    host: Host
    other: Host
    alice: Guest
    bob: Guest
    carol: Guest  # on the other host
    free: Guest  # without anti-spoofing
    unknown: Guest  # on the bridge, in no snapshot


@pytest.fixture(scope="module")
def scene(shared_lab: Lab) -> Scene:
    host, other = shared_lab.host("one"), shared_lab.host("two")
    for each in (host, other):
        each.apply(snapshot(1))
    alice, bob, free, unknown = (host.guest(number) for number in (11, 12, 13, 14))
    carol = other.guest(21)
    ports = [alice.port(), bob.port(), free.port(anti_spoofing=False)]
    instances = [guest.metadata() for guest in (alice, bob, free)]
    answer = host.apply(snapshot(2, networks=[network(ports)], instances=instances))
    assert answer["generation"] == 2, answer
    assert other.apply(snapshot(2, [carol]))["generation"] == 2
    for guest in (alice, bob, carol, free, unknown):
        guest.configure()
    return Scene(shared_lab, host, other, alice, bob, carol, free, unknown)


def same(sent: bytes, got: bytes) -> bool:
    """A packet socket shows a VLAN tag beside the frame, not in it."""
    untagged = sent[:12] + sent[16:] if sent[12:14] == b"\x81\x00" else sent
    return got.startswith((sent, untagged))


def arrives(sender: Guest, receiver: Guest, frame: bytes) -> bool:
    with sender.packet_socket() as out, receiver.packet_socket() as incoming:
        out.send(frame)
        return bool(heard(incoming, lambda got: same(frame, got)))


def crosses(scene: Scene, sender: Guest, frame: bytes) -> bool:
    """Whether the frame is seen on the underlay."""
    with sender.packet_socket() as out, scene.lab.wire() as wire:
        out.send(frame)
        return bool(heard(wire, lambda got: same(frame, got)))


def honest(sender: Guest, receiver: Guest, payload: bytes = MARK) -> bytes:
    return ethernet(receiver.mac, sender.mac, ipv4(sender.ip, receiver.ip, udp(5000, 5001, payload)))


def test_honest_guests_reach_each_other_across_hosts(scene: Scene) -> None:
    scene.alice.run("ping", "-c", "1", "-W", "2", scene.bob.ip)
    scene.alice.run("ping", "-c", "1", "-W", "2", scene.carol.ip)
    assert arrives(scene.alice, scene.bob, honest(scene.alice, scene.bob))
    assert crosses(scene, scene.alice, honest(scene.alice, scene.carol))


def test_a_guest_that_has_moved_is_announced(scene: Scene) -> None:
    """As QEMU does it: a reverse ARP request from the guest's MAC; not from another's."""
    announced = ethernet(BROADCAST, scene.alice.mac, MARK * 4, kind=0x8035)
    assert arrives(scene.alice, scene.bob, announced)
    assert crosses(scene, scene.alice, announced)
    assert not crosses(scene, scene.alice, ethernet(BROADCAST, STRANGER_MAC, MARK * 4, kind=0x8035))


FORGERIES: dict[str, Callable[[Guest, Guest], bytes]] = {
    "source MAC": lambda me, you: ethernet(you.mac, STRANGER_MAC, ipv4(me.ip, you.ip, udp(5000, 5001, MARK))),
    "source IPv4": lambda me, you: ethernet(you.mac, me.mac, ipv4(STRANGER_IP, you.ip, udp(5000, 5001, MARK))),
    "unspecified source": lambda me, you: ethernet(you.mac, me.mac, ipv4("0.0.0.0", you.ip, udp(5000, 5001, MARK))),
    "ARP sender IP": lambda me, you: arp(me.mac, STRANGER_IP, you.ip),
    "ARP sender MAC": lambda me, you: arp(me.mac, me.ip, you.ip, sender=STRANGER_MAC),
    "DHCP server": lambda me, you: ethernet(you.mac, me.mac, ipv4(me.ip, you.ip, udp(67, 68, MARK))),
    "DHCP client at a guest": lambda me, you: ethernet(BROADCAST, me.mac, dhcp_discover(me.mac)),
    "service MAC": lambda me, you: ethernet(you.mac, SERVICE_MAC, ipv4(me.ip, you.ip, udp(5000, 5001, MARK))),
    "service IPv4": lambda me, you: ethernet(you.mac, me.mac, ipv4(SERVICE_IP, you.ip, udp(5000, 5001, MARK))),
    "service ARP": lambda me, you: arp(me.mac, SERVICE_IP, you.ip),
    "metadata IPv4": lambda me, you: ethernet(you.mac, me.mac, ipv4("169.254.169.254", you.ip, udp(80, 5001, MARK))),
    "router advertisement": lambda me, you: router_advertisement(me.mac),
    "VLAN tag": lambda me, you: ethernet(
        you.mac, me.mac, b"\x00\x05\x08\x00" + ipv4(me.ip, you.ip, udp(5000, 5001, MARK)), kind=0x8100
    ),
    "other protocol": lambda me, you: ethernet(you.mac, me.mac, MARK * 4, kind=0x88CC),
}  # fmt: skip


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_guest_cannot_forge(scene: Scene, forgery: str) -> None:
    assert not arrives(scene.alice, scene.bob, FORGERIES[forgery](scene.alice, scene.bob))
    assert not crosses(scene, scene.alice, FORGERIES[forgery](scene.alice, scene.carol))


WITHOUT_PROTECTION = {
    "source MAC",
    "source IPv4",
    "ARP sender IP",
    "ARP sender MAC",
    "other protocol",
    "VLAN tag",
    "router advertisement",
}


@pytest.mark.parametrize("forgery", sorted(WITHOUT_PROTECTION))
def test_without_anti_spoofing_the_same_frame_arrives(scene: Scene, forgery: str) -> None:
    assert arrives(scene.free, scene.bob, FORGERIES[forgery](scene.free, scene.bob))


@pytest.mark.parametrize("forgery", ["DHCP server", "service MAC", "service IPv4", "service ARP", "metadata IPv4"])
def test_nobody_acts_as_the_service_even_without_anti_spoofing(scene: Scene, forgery: str) -> None:
    assert not arrives(scene.free, scene.bob, FORGERIES[forgery](scene.free, scene.bob))


def metadata_as(guest: Guest, ip: str) -> str:
    """What the metadata service tells the guest that takes this address; bounded, as silence is the right answer."""
    guest.run("ip", "addr", "add", f"{ip}/24", "dev", "eth0")
    try:
        guest.run("arping", "-U", "-c", "1", "-I", "eth0", "-s", ip, SERVICE_IP, check=False)
        url = f"http://{SERVICE_IP}/latest/meta-data/instance-id"
        return guest.run("curl", "-sS", "-m", "2", "--interface", ip, url, check=False).stdout
    finally:
        guest.run("ip", "addr", "del", f"{ip}/24", "dev", "eth0")


def test_no_guest_reads_anothers_metadata_by_its_address(scene: Scene) -> None:
    """Not even one whose spoofing is not prevented otherwise; and the owner is not cut off by the attempt."""
    for thief in (scene.alice, scene.free):
        assert metadata_as(thief, scene.bob.ip) == ""
        assert (
            scene.bob.run("curl", "-sS", "-m", "3", f"http://{SERVICE_IP}/latest/meta-data/instance-id").stdout
            == "i-12"
        )


def test_no_guest_reads_anothers_metadata_by_its_mac_and_address(scene: Scene) -> None:
    for thief in (scene.alice, scene.free):
        thief.run("ip", "link", "set", "eth0", "address", scene.bob.mac)
        try:
            assert metadata_as(thief, scene.bob.ip) == ""
        finally:
            thief.run("ip", "link", "set", "eth0", "address", thief.mac)
            thief.run("ip", "neigh", "flush", "all")
    for guest, number in ((scene.alice, 11), (scene.free, 13)):
        url = f"http://{SERVICE_IP}/latest/meta-data/instance-id"
        assert guest.run("curl", "-sS", "-m", "3", url).stdout == f"i-{number}", "honest again, it is served"


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Instance-ID", "Host"])
def test_no_header_makes_a_guest_another(scene: Scene, header: str) -> None:
    url = f"http://{SERVICE_IP}/latest/meta-data/instance-id"
    told = scene.alice.run("curl", "-sS", "-m", "3", "-H", f"{header}: {scene.bob.ip}", url).stdout
    assert told == "i-11"


def test_an_arp_probe_is_honest(scene: Scene) -> None:
    assert arrives(scene.alice, scene.bob, arp(scene.alice.mac, "0.0.0.0", scene.alice.ip))


def test_nobody_asks_dhcp_in_anothers_name(scene: Scene) -> None:
    """Else the answer, broadcast by wish, would tell a guest its neighbour's lease."""
    frame = ethernet(BROADCAST, scene.alice.mac, dhcp_discover(scene.bob.mac))
    own = ethernet(BROADCAST, scene.alice.mac, dhcp_discover(scene.alice.mac))
    with scene.alice.packet_socket() as talk:
        talk.send(frame)
        assert not heard(talk, is_dhcp_reply)
        talk.send(own)
        assert heard(talk, is_dhcp_reply)


def is_dhcp_reply(frame: bytes) -> bool:
    return frame[12:14] == b"\x08\x00" and frame[23] == 17 and frame[34:38] == b"\x00\x43\x00\x44"


def concerns_the_service(frame: bytes) -> bool:
    """DHCP, ARP about the service address, or the service MAC."""
    service = IPv4Address(SERVICE_IP).packed
    if SERVICE_MAC.replace(":", "") in (frame[:6].hex(), frame[6:12].hex()):
        return True
    if frame[12:14] == b"\x08\x06":
        return service in (frame[28:32], frame[38:42])
    ports = {frame[34:36], frame[36:38]}
    return frame[12:14] == b"\x08\x00" and frame[23] == 17 and bool(ports & {b"\x00\x43", b"\x00\x44"})


def test_nothing_of_the_service_crosses_the_uplink(scene: Scene) -> None:
    with scene.lab.wire() as wire:
        for guest in (scene.alice, scene.carol):
            guest.run("busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-s", "/bin/true")
            guest.run("ip", "neigh", "flush", "all")
            answer = guest.run("curl", "-sS", "-m", "5", f"http://{SERVICE_IP}/latest/meta-data/instance-id")
            assert answer.stdout == f"i-{guest.number}"
        scene.alice.run("ip", "neigh", "flush", "all")
        scene.alice.run("ping", "-c", "1", "-W", "2", scene.carol.ip)
        frames = heard(wire, lambda frame: True)
    assert any(frame[12:14] == b"\x08\x06" for frame in frames), "the listener hears the guests' own ARP"
    assert not [frame.hex() for frame in frames if concerns_the_service(frame)]


def test_two_hosts_with_one_service_address_answer_their_own_guests_only(scene: Scene) -> None:
    for guest, host, stranger in ((scene.alice, scene.host, scene.other), (scene.carol, scene.other, scene.host)):
        before = stranger.ask("status")
        acks = host.ask("status")["dhcp_acks"].get(guest.nic_uuid, 0)
        guest.run("busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-s", "/bin/true")
        replies = guest.run("arping", "-c", "1", "-w", "1", "-I", "eth0", SERVICE_IP, check=False).stdout
        assert host.ask("status")["dhcp_acks"][guest.nic_uuid] == acks + 1
        assert stranger.ask("status") == before
        if replies:
            assert replies.lower().count(SERVICE_MAC) == 1


def test_the_wire_cannot_pose_as_the_service(scene: Scene) -> None:
    """In prerouting, before the bridge learns: the service's MAC stays behind its own port."""
    alice = scene.alice
    with scene.lab.wire() as wire, alice.packet_socket() as ear:
        for frame in (
            ethernet(alice.mac, SERVICE_MAC, ipv4("10.50.0.77", alice.ip, udp(5000, 5001, MARK))),
            arp("fa:77:77:77:77:77", SERVICE_IP, alice.ip),
            ethernet(alice.mac, "fa:77:77:77:77:77", ipv4(SERVICE_IP, alice.ip, udp(5000, 5001, MARK))),
            ethernet(BROADCAST, "fa:77:77:77:77:77", ipv4("10.50.0.77", "255.255.255.255", udp(67, 68, MARK))),
        ):
            wire.send(frame)
            assert not heard(ear, lambda got, sent=frame: got[: len(sent)] == sent)
        fine = ethernet(alice.mac, "fa:77:77:77:77:77", ipv4("10.50.0.77", alice.ip, udp(5000, 5001, MARK)))
        wire.send(fine)
        assert heard(ear, lambda got: got[: len(fine)] == fine)
    learnt = scene.host.run("bridge", "fdb", "show", "br", "br_eth0").stdout
    assert not [line for line in learnt.splitlines() if SERVICE_MAC in line and "dev eth0" in line]


def test_an_unknown_port_reaches_nobody(scene: Scene) -> None:
    unknown = scene.unknown
    assert not arrives(unknown, scene.bob, honest(unknown, scene.bob))
    assert not crosses(scene, unknown, honest(unknown, scene.carol))
    assert not crosses(scene, unknown, arp(unknown.mac, unknown.ip, scene.carol.ip))
    done = unknown.run("curl", "-sS", "-m", "1", f"http://{SERVICE_IP}/latest/", check=False)
    assert done.returncode != 0


def test_a_flood_of_discovers_is_cut(scene: Scene) -> None:
    frame = ethernet(BROADCAST, scene.bob.mac, dhcp_discover(scene.bob.mac))
    with scene.bob.packet_socket() as talk:
        for _ in range(400):
            talk.send(frame)
        replies = len(heard(talk, is_dhcp_reply, 0.5))
    assert 50 <= replies <= 200, replies


def test_the_services_of_two_networks_on_one_bridge_stay_apart(scene: Scene) -> None:
    """The same addresses in another network of the same bridge: a guest gets its own network's metadata."""
    host, alice = scene.host, scene.alice
    twin = host.guest(31, ip=alice.ip)
    second = network([twin.port()], l3_uuid="7f" * 16, service_mac="fa:0a:0b:0c:0d:ff", service_ip="10.50.0.3")
    both = snapshot(
        3,
        networks=[network([alice.port(), scene.bob.port(), scene.free.port(anti_spoofing=False)]), second],
        instances=[guest.metadata() for guest in (alice, scene.bob, scene.free, twin)],
    )
    assert host.apply(both)["generation"] == 3
    twin.configure()
    assert twin.run("curl", "-sS", "-m", "3", "http://10.50.0.3/latest/meta-data/instance-id").stdout == "i-31"
    assert twin.run("curl", "-sS", "-m", "1", f"http://{SERVICE_IP}/latest/", check=False).returncode != 0
    assert alice.run("curl", "-sS", "-m", "1", "http://10.50.0.3/latest/", check=False).returncode != 0


@pytest.mark.parametrize("name", ['a"b', "tap; flush ruleset", "tap\n", "", "x" * 16, "{", ".."])
def test_no_name_becomes_a_command(name: str) -> None:
    from hostagent.contract import HostError, PortSpec

    port = PortSpec.model_construct(
        nic_uuid="1" * 32, vm_uuid="2" * 32, mac="fa:00:00:00:00:01", ip="10.50.0.9", tap=name, is_default=True,
        hostname="", anti_spoofing=True,
    )  # fmt: skip
    spec = SnapshotSpec.model_construct(
        generation=1,
        bridges=snapshot(1).bridges,
        networks=[network([]).model_copy(update={"ports": [port]})],
        instances=[],
    )
    with pytest.raises(HostError, match="no device name"):
        guard.ruleset(spec)
