"""Bridges, uplinks and namespaces on a real kernel: made, made again, changed, refused and removed."""

import json

import pytest

from hostagent.contract import BridgeSpec, SnapshotSpec
from tests.hostagent.network.lab import L3, SERVICE_IP, SERVICE_MAC, Host, Lab, network, snapshot

pytestmark = pytest.mark.host
NAMESPACE = f"steppe-{L3[:8]}"


@pytest.fixture
def host(fresh_lab: Lab) -> Host:
    return fresh_lab.host("one")


def addresses(host: Host, link: str) -> set[str]:
    [shown] = json.loads(host.run("ip", "-j", "addr", "show", "dev", link).stdout)
    return {f"{one['local']}/{one['prefixlen']}" for one in shown["addr_info"] if one["scope"] != "link"}


def routes(host: Host, *table: str) -> list[tuple[str, str, str]]:
    shown = json.loads(host.run("ip", "-j", "route", "show", *table).stdout)
    return sorted((one["dst"], one.get("gateway", ""), one["dev"]) for one in shown)


def inside(host: Host, *command: str) -> str:
    return host.run("ip", "netns", "exec", NAMESPACE, *command).stdout


def everything(host: Host) -> tuple[object, ...]:
    """All that a snapshot may change on a host."""
    links = json.loads(host.run("ip", "-j", "-d", "link").stdout)
    shape = sorted(
        (one["ifname"], one.get("master"), one.get("linkinfo", {}).get("info_kind"), one["mtu"]) for one in links
    )
    names = sorted(line.split()[0] for line in host.run("ip", "netns").stdout.splitlines())
    return shape, names, routes(host), [sorted(addresses(host, one[0])) for one in shape]


def test_a_network_stands_as_specified(host: Host) -> None:
    assert host.apply(snapshot(1)) == {"generation": 1, "dhcp_acks": {}, "metadata_reads": {}, "phone_homes": {}}
    [bridge] = json.loads(host.run("ip", "-j", "-d", "link", "show", "br_eth0").stdout)
    data = bridge["linkinfo"]["info_data"]
    assert (data["stp_state"], data["forward_delay"]) == (0, 0)
    assert host.run("cat", "/sys/class/net/eth0/master/ifindex").stdout.strip() == str(bridge["ifindex"])
    [port] = json.loads(inside(host, "ip", "-j", "addr", "show", "dev", "service"))
    assert (port["address"], port["mtu"]) == (SERVICE_MAC, 1450)
    assert {f"{one['local']}/{one['prefixlen']}" for one in port["addr_info"]} == {
        f"{SERVICE_IP}/24", "169.254.169.254/32",
    }  # fmt: skip
    assert host.run("cat", "/proc/sys/net/bridge/bridge-nf-call-iptables").stdout.strip() == "0"


def test_repeating_changes_nothing_and_an_empty_snapshot_leaves_nothing(host: Host) -> None:
    before = everything(host)
    host.apply(snapshot(1))
    assert "table bridge" in host.run("nft", "list", "ruleset").stdout
    first = everything(host)
    host.apply(snapshot(1))
    host.ask("restart")
    host.apply(snapshot(2))
    assert everything(host) == first
    host.apply(SnapshotSpec(generation=3))
    assert everything(host) == before
    assert host.run("nft", "list", "ruleset").stdout == ""


def test_the_management_address_moves_to_the_bridge_and_back(host: Host) -> None:
    for command in (
        "addr add 192.0.2.10/24 dev eth0",
        "addr add 2001:db8::10/64 dev eth0 nodad",
        "route add default via 192.0.2.1 metric 100",
        "route add 198.51.100.0/24 via 192.0.2.7",
        "route add 203.0.113.0/24 dev eth0 scope link",
        "route add default via 192.0.2.9 table 7",
        "-6 route add default via 2001:db8::1",
    ):
        host.run("ip", *command.split())
    before = everything(host), routes(host, "table", "7"), host.run("ip", "-6", "route", "show", "default").stdout
    expected = [(dst, gateway, "br_eth0") for dst, gateway, _ in routes(host)]
    host.apply(snapshot(1))
    assert addresses(host, "br_eth0") == {"192.0.2.10/24", "2001:db8::10/64"}
    assert addresses(host, "eth0") == set()
    assert routes(host) == expected
    assert routes(host, "table", "7") == [("default", "192.0.2.9", "br_eth0")]
    assert "dev br_eth0" in host.run("ip", "-6", "route", "show", "default").stdout
    host.apply(SnapshotSpec(generation=2))
    assert (everything(host), routes(host, "table", "7")) == before[:2]
    assert "dev eth0" in host.run("ip", "-6", "route", "show", "default").stdout


def test_a_connection_over_the_management_address_survives(fresh_lab: Lab) -> None:
    host, other = fresh_lab.host("one"), fresh_lab.host("two")
    host.run("ip", "addr", "add", "192.0.2.10/24", "dev", "eth0")
    other.run("ip", "addr", "add", "192.0.2.20/24", "dev", "eth0")
    other.run("ping", "-c", "1", "-W", "2", "192.0.2.10")
    host.apply(snapshot(1))
    other.run("ping", "-c", "2", "-i", "0.2", "-W", "1", "192.0.2.10")


def test_a_missing_interface_names_what_there_is_and_harms_nobody_else(host: Host) -> None:
    missing = BridgeSpec(l2_uuid="b" * 32, name="br_eth7", physical_interface="eth7")
    guests = snapshot(1)
    broken = guests.model_copy(update={"bridges": [missing, *guests.bridges]})
    problem = host.apply(broken)["problem"]
    assert (problem["error_class"], problem["code"]) == ("rejected", "interface_missing")
    assert "eth7" in problem["message"] and "eth0" in problem["message"]
    assert "br_eth7" not in host.links()
    assert SERVICE_IP in inside(host, "ip", "addr"), "the other network is served all the same"
    assert ":67 " in inside(host, "ss", "-lnu")


def test_vlan_is_made_or_refused_clearly(host: Host) -> None:
    tagged = BridgeSpec(l2_uuid="b" * 32, name="br_eth0_100", physical_interface="eth0", vlan=100)
    answer = host.apply(SnapshotSpec(generation=1, bridges=[tagged]))
    if host.ask("vlan")["supported"]:
        assert answer["generation"] == 1
        assert "eth0.100" in host.links()
    else:
        assert answer["problem"]["code"] == "vlan_unsupported"
        assert "VLAN 100" in answer["problem"]["message"]
        assert not {"br_eth0_100", "eth0.100"} & host.links()


def test_an_interface_of_another_bridge_is_not_taken(host: Host) -> None:
    host.run("ip", "link", "add", "mine", "type", "bridge")
    host.run("ip", "link", "set", "eth0", "master", "mine")
    problem = host.apply(snapshot(1))["problem"]
    assert problem["code"] == "in_use"
    assert "mine" in problem["message"]


def test_a_bridge_that_was_there_is_used_and_never_removed(host: Host) -> None:
    host.run("ip", "link", "add", "br_eth0", "type", "bridge")
    assert host.apply(snapshot(1))["generation"] == 1
    host.apply(SnapshotSpec(generation=2))
    assert "br_eth0" in host.links()


def test_a_name_that_is_no_bridge_is_refused(host: Host) -> None:
    host.run("ip", "link", "add", "br_eth0", "type", "veth", "peer", "name", "other")
    problem = host.apply(snapshot(1))["problem"]
    assert problem["code"] == "invalid_spec"
    assert "no bridge" in problem["message"]


def test_a_bridge_with_guests_loses_its_uplink_first(host: Host) -> None:
    host.apply(snapshot(1))
    guest = host.guest(11)
    host.apply(SnapshotSpec(generation=2))
    assert "br_eth0" in host.links()
    assert "br_eth0" not in host.run("ip", "link", "show", "eth0").stdout
    host.run("ip", "link", "del", guest.tap)
    host.apply(SnapshotSpec(generation=3))
    assert "br_eth0" not in host.links()


def test_what_was_broken_by_hand_is_mended(host: Host) -> None:
    host.apply(snapshot(1))
    whole = everything(host)
    for damage in (
        f"ip netns del {NAMESPACE}",
        f"ip link del sv-{L3[:8]}",
        f"ip netns exec {NAMESPACE} ip addr flush dev service",
        f"ip netns exec {NAMESPACE} ip link set service down",
        "ip link del br_eth0",
        "nft flush ruleset",
    ):
        host.run(*damage.split())
        assert host.apply(snapshot(1))["generation"] == 1, damage
        assert everything(host) == whole, damage
        assert "table bridge steppe" in host.run("nft", "list", "tables").stdout
        assert ":67 " in inside(host, "ss", "-lnu"), damage


def test_a_changed_service_address_is_followed(host: Host) -> None:
    host.apply(snapshot(1))
    host.apply(snapshot(2, networks=[network([], service_ip="10.50.0.3", service_mac="fa:01:02:03:05:ff")]))
    [port] = json.loads(inside(host, "ip", "-j", "addr", "show", "dev", "service"))
    assert port["address"] == "fa:01:02:03:05:ff"
    assert {one["local"] for one in port["addr_info"]} == {"10.50.0.3", "169.254.169.254"}


def test_networks_that_would_share_a_namespace_are_refused(host: Host) -> None:
    twins = [network([]), network([], l3_uuid=L3[:8] + "0" * 24)]
    problem = host.apply(snapshot(1, networks=twins))["problem"]
    assert problem["code"] == "invalid_spec"
    assert "br_eth0" not in host.links()


def test_interfaces_are_those_that_may_be_an_uplink(host: Host) -> None:
    host.apply(snapshot(1))
    assert host.ask("interfaces") == {"names": ["eth0"]}
