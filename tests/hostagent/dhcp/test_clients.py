"""Real DHCP clients on the real service: what they say they got, and what a foreign or stale lease leads to."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostagent.contract import PortSpec
from tests.hostagent.network.lab import SERVICE_IP, Guest, Host, Lab, lab, network, snapshot

pytestmark = pytest.mark.host
NETWORKD = Path("/lib/systemd/systemd-networkd")


@pytest.fixture(scope="module")
def made() -> Iterator[Lab]:
    with lab() as made:
        yield made


@pytest.fixture(scope="module")
def host(made: Lab) -> Host:
    host = made.host("one")
    host.apply(snapshot(1))
    return host


def guest(host: Host, number: int, **changes: object) -> Guest:
    """A guest of a snapshot of its own: the earlier ones are gone."""
    guest = host.guest(number)
    generation = host.ask("status")["generation"] + 1
    ports: list[PortSpec] = [guest.port(**changes)]
    answer = host.apply(snapshot(generation, networks=[network(ports)], instances=[guest.metadata()]))
    assert answer["generation"] == generation, answer
    return guest


def acks(host: Host, guest: Guest) -> int:
    return int(host.ask("status")["dhcp_acks"].get(guest.nic_uuid, 0))


def dhclient(guest: Guest, directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    script = directory / "script"
    script.write_text(f"#!/bin/sh\nenv >> {directory}/env\nexit 0\n")
    script.chmod(0o755)
    files = ["-lf", f"{directory}/leases", "-pf", f"{directory}/pid", "-sf", str(script), "-cf", f"{directory}/conf"]
    (directory / "conf").write_text(
        "option rfc3442-classless-static-routes code 121 = array of unsigned integer 8;\n"
        "send host-name = gethostname();\n"
        "request subnet-mask, broadcast-address, time-offset, routers, domain-name, domain-name-servers, domain-search,\n"
        " host-name, interface-mtu, rfc3442-classless-static-routes, ntp-servers;\n"
        "timeout 5;\n"
    )
    return guest.run("dhclient", "-4", "-v", *arguments, *files, "eth0", check=False)


def end(guest: Guest, directory: Path) -> None:
    """Kill the daemon, which writes its number a little after it said that it is bound."""
    file = directory / "pid"
    for _ in range(100):
        if file.exists() and (number := file.read_text().strip()):
            guest.run("kill", number)
            file.unlink()
            return
        time.sleep(0.02)
    raise AssertionError("dhclient wrote no pid file")


def environment(directory: Path) -> dict[str, str]:
    lines = (directory / "env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def test_dhclient_takes_renews_and_releases(host: Host, tmp_path: Path) -> None:
    alice = guest(host, 11)
    done = dhclient(alice, tmp_path, "-1")
    assert done.returncode == 0, done.stderr
    assert "DHCPOFFER of 10.50.0.11 from 10.50.0.2" in done.stderr
    got = environment(tmp_path)
    assert got["new_ip_address"] == alice.ip
    assert got["new_routers"] == "10.50.0.1"
    assert got["new_domain_name_servers"] == "10.50.0.53"
    assert got["new_domain_name"] == "lan.example"
    assert got["new_domain_search"].rstrip(".") == "lan.example"
    assert got["new_host_name"] == "guest11"
    assert got["new_interface_mtu"] == "1450"
    assert got["new_dhcp_server_identifier"] == SERVICE_IP
    assert got["new_rfc3442_classless_static_routes"] == "32 169 254 169 254 10 50 0 2 0 10 50 0 1"
    assert acks(host, alice) == 1
    lease = (tmp_path / "leases").read_text()
    end(alice, tmp_path)
    again = dhclient(alice, tmp_path, "-1")
    assert "DHCPREQUEST for 10.50.0.11" in again.stderr and "DHCPACK" in again.stderr, "init-reboot"
    end(alice, tmp_path)
    (tmp_path / "leases").write_text(lease.replace(alice.ip, "10.50.0.99"))
    stale = dhclient(alice, tmp_path, "-1")
    assert "DHCPNAK" in stale.stderr and "bound to 10.50.0.11" in stale.stderr, stale.stderr
    end(alice, tmp_path)
    alice.configure()
    assert "DHCPRELEASE" in dhclient(alice, tmp_path, "-r").stderr


def test_dhclient_on_a_second_network_gets_no_router(host: Host, tmp_path: Path) -> None:
    alice = guest(host, 12, is_default=False)
    assert dhclient(alice, tmp_path, "-1").returncode == 0
    got = environment(tmp_path)
    end(alice, tmp_path)
    assert got["new_rfc3442_classless_static_routes"] == "32 169 254 169 254 10 50 0 2"
    assert not {"new_routers", "new_domain_name_servers", "new_host_name", "new_domain_name"} & set(got)


@pytest.mark.parametrize("broadcast", [[], ["-B"]])
def test_udhcpc(host: Host, tmp_path: Path, broadcast: list[str]) -> None:
    alice = guest(host, 13 + len(broadcast))
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\necho EVENT=$1 >> {tmp_path}/env; env >> {tmp_path}/env\n")
    script.chmod(0o755)
    options = ["-O", "mtu", "-O", "staticroutes", "-O", "search", *broadcast]
    alice.run("busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-R", *options, "-s", str(script))
    got = environment(tmp_path)
    assert (got["ip"], got["mask"], got["router"], got["serverid"]) == (alice.ip, "24", "10.50.0.1", SERVICE_IP)
    assert (got["mtu"], got["dns"], got["hostname"]) == ("1450", "10.50.0.53", f"guest{alice.number}")
    assert got["staticroutes"] == "169.254.169.254/32 10.50.0.2 0.0.0.0/0 10.50.0.1"
    assert got["lease"] == "86400"


@pytest.mark.skipif(not NETWORKD.exists(), reason="systemd-networkd is not installed")
def test_systemd_networkd(host: Host, tmp_path: Path) -> None:
    """In its own mount namespace, without systemd or D-Bus: networkd runs, configures the link and keeps the lease."""
    alice = guest(host, 15)
    (tmp_path / "eth0.network").write_text(
        "[Match]\nName=eth0\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n[DHCPv4]\nUseMTU=yes\n"
    )
    # with /sys read-only it does not wait for udev to know the link, as in a container
    (tmp_path / "run").write_text(
        "set -e\n"
        "mount -t tmpfs tmpfs /run; mount -o remount,bind,ro /sys\n"
        "mkdir -p /run/systemd/network /run/systemd/netif/leases /run/systemd/netif/links /run/systemd/netif/lldp\n"
        f"chown -R systemd-network /run/systemd/netif; cp {tmp_path}/eth0.network /run/systemd/network/\n"
        f"SYSTEMD_LOG_TARGET=console {NETWORKD} >{tmp_path}/log 2>&1 &\n"
        "for i in $(seq 80); do sleep 0.1; if ip route | grep -q ^default; then break; fi; done\n"
        "ip -j -4 addr show dev eth0; echo; ip -j route; echo; cat /run/systemd/netif/leases/*\n"
        "kill $!; wait $! || true\n"
    )
    done = alice.run("unshare", "--mount", "sh", str(tmp_path / "run"), check=False)
    log = (tmp_path / "log").read_text() + done.stderr
    shown, routes, lease = re.split(r"\n+", done.stdout, maxsplit=2)
    [link] = json.loads(shown)
    assert [one["local"] for one in link["addr_info"]] == [alice.ip], log
    assert link["mtu"] == 1450
    found = {(route["dst"], route.get("gateway")) for route in json.loads(routes)}
    assert {("default", "10.50.0.1"), ("169.254.169.254", SERVICE_IP)} <= found
    assert f"SERVER_ADDRESS={SERVICE_IP}" in lease
    assert acks(host, alice) >= 1


def test_perfdhcp_as_a_relay(host: Host) -> None:
    """Relayed exchanges from an address of the network, every one completed."""
    relay = host.guest(16)
    clients = [PortSpec(
        nic_uuid=f"{0xC000 + i:032x}", vm_uuid=f"{i:032x}", mac=f"00:0c:01:02:{3 + (i + 4) // 256:02x}:{(i + 4) % 256:02x}",
        ip=f"10.50.0.{100 + i}", tap=f"t{i}", is_default=True,
    ) for i in range(100)]  # fmt: skip
    generation = host.ask("status")["generation"] + 1
    host.apply(snapshot(generation, networks=[network([relay.port(anti_spoofing=False), *clients])]))
    relay.configure()
    done = relay.run(
        "perfdhcp", "-4", "-l", "eth0", "-r", "20", "-R", "100", "-b", "mac=00:0c:01:02:03:04", "-p", "2", SERVICE_IP,
        check=False,
    )  # fmt: skip
    sent, received = (
        [int(line.split()[-1]) for line in done.stdout.splitlines() if line.startswith(f"{word} packets")]
        for word in ("sent", "received")
    )
    assert len(sent) == len(received) == 2 and sent[0] > 10, done.stdout + done.stderr
    assert received == sent, done.stdout
    assert sum(host.ask("status")["dhcp_acks"].values()) >= received[1]
