"""The service process: outlives the agent, keeps its snapshot, refuses the past, keeps its secrets."""

import asyncio
import json
import os
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostagent.contract import SnapshotSpec
from hostagent.metadata import Directory, MetadataServer, Tokens
from hostagent.netservice.client import NetserviceClient
from hostagent.netservice.endpoint import Endpoint
from hostagent.netservice.wire import Command
from tests.hostagent.network.lab import L3, SERVICE_IP, Guest, Host, Lab, network, snapshot

pytestmark = pytest.mark.host


@pytest.fixture
def host(fresh_lab: Lab) -> Host:
    return fresh_lab.host("one")


@pytest.fixture
def guest(host: Host) -> Guest:
    host.apply(snapshot(1))
    guest = host.guest(11)
    host.apply(snapshot(2, [guest]))
    guest.configure()
    return guest


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ns-") as path:
        yield Path(path) / "state"


def leases(guest: Guest) -> bool:
    done = guest.run(
        "busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "2", "-T", "1", "-s", "/bin/true", check=False
    )
    return done.returncode == 0


def service_pids(host: Host) -> list[int]:
    listed = host.run("ps", "-eo", "pid,args").stdout.splitlines()
    return [int(line.split()[0]) for line in listed if "hostagent.netservice" in line]


def test_guests_are_served_while_the_agent_is_away(host: Host, guest: Guest) -> None:
    [before] = service_pids(host)
    host.ask("restart")
    assert leases(guest)
    assert host.ask("status")["dhcp_acks"] == {guest.nic_uuid: 1}
    assert service_pids(host) == [before]


def test_a_killed_service_comes_back_with_its_snapshot(host: Host, guest: Guest) -> None:
    [before] = service_pids(host)
    host.run("kill", "-9", str(before))
    assert host.ask("status")["generation"] == 2, "started anew, from its disk"
    assert service_pids(host) != [before]
    assert leases(guest)
    url = f"http://{SERVICE_IP}/latest/meta-data/instance-id"
    assert guest.run("curl", "-sS", "-m", "3", url).stdout == "i-11"


def test_a_departed_nic_gets_silence_and_its_counts_are_forgotten(host: Host, guest: Guest) -> None:
    assert leases(guest)
    answer = host.apply(snapshot(3, networks=[network([])], instances=[]))
    assert answer == {"generation": 3, "dhcp_acks": {}, "metadata_reads": {}, "phone_homes": {}}
    assert not leases(guest)


def test_an_address_that_changes_hands_never_tells_the_new_owner_of_the_old(host: Host, guest: Guest) -> None:
    """The new owner asks all the time while the switch is made; the old one goes on asking after it."""
    heir = host.guest(12)
    host.apply(snapshot(3, [guest, heir]))
    heir.run("ip", "addr", "add", f"{guest.ip}/24", "dev", "eth0")
    url = f"http://{SERVICE_IP}/latest/meta-data/instance-id"
    ask = f"while :; do ip neigh flush all; curl -s -m 1 --interface {guest.ip} {url}; echo; sleep 0.002; done"
    enter = ["nsenter", "-t", str(host.pid), "-n", "-m", "-p", "--", "ip", "netns", "exec", heir.tap, "sh", "-c", ask]
    with tempfile.TemporaryFile("w+") as told:
        asking = subprocess.Popen(enter, stdout=told, text=True)
        try:
            for generation in range(4, 12):
                ports = [heir.port(ip=guest.ip)] if generation % 2 else [guest.port()]
                owner = heir if generation % 2 else guest
                host.apply(snapshot(generation, networks=[network(ports)], instances=[owner.metadata()]))
                before = os.fstat(told.fileno()).st_size
                end = time.monotonic() + (10 if owner is heir else 0.2)
                while time.monotonic() < end and not (
                    owner is heir and b"i-" in os.pread(told.fileno(), 99999, before)
                ):
                    time.sleep(0.05)
        finally:
            asking.kill()
            asking.wait()
        told.seek(0)
        answers = set(told.read().split())
    assert answers == {"i-12"}
    assert guest.run("curl", "-s", "-m", "1", url, check=False).stdout == "", "nor does the old owner hear of the new"


def test_withdrawn_is_what_has_another_owner() -> None:
    endpoint = Endpoint.__new__(Endpoint)
    server = MetadataServer(L3, {}, Tokens(b"k" * 32), Counter())
    endpoint._web = [server]
    one, two = (
        Guest(None, number, f"10.50.0.{number}", f"fa:00:00:00:00:{number}", f"vnic{number}.0", f"{number:032x}")  # type: ignore[arg-type]
        for number in (11, 12)
    )
    server.replace(Directory(snapshot(1, [one, two])).guests[L3])
    endpoint.keep({one.ip: one.vm_uuid, two.ip: one.vm_uuid})
    assert set(server.guests) == {one.ip}
    endpoint.keep({})
    assert server.guests == {}


def test_an_older_snapshot_is_refused_and_changes_nothing(host: Host, guest: Guest) -> None:
    problem = host.apply(SnapshotSpec(generation=1))["problem"]
    assert problem["code"] == "stale_generation"
    assert leases(guest)
    assert "br_eth0" in host.links()


def test_a_bad_snapshot_is_refused_and_changes_nothing(host: Host, guest: Guest) -> None:
    for bad, said in (
        (snapshot(3, networks=[network([guest.port(ip="10.50.0.300")])]), "10.50.0.300"),
        (snapshot(3, networks=[network([guest.port()], ntp=["time.example"])]), "ntp"),
        (snapshot(3, [guest], instances=[guest.metadata(user_data_base64="%%%")]), "user_data_base64"),
        (snapshot(3, networks=[network([guest.port()], bridge="br_nowhere")]), "br_nowhere"),
    ):
        problem = host.apply(bad)["problem"]
        assert (problem["error_class"], problem["code"]) == ("rejected", "invalid_spec"), problem
        assert said in problem["message"]
        assert host.ask("status")["generation"] == 2
    assert leases(guest)


def test_sockets_follow_a_namespace_made_anew(host: Host, guest: Guest) -> None:
    host.run("ip", "link", "del", "sv-5e5e5e5e")
    assert not leases(guest)
    host.apply(snapshot(2, [guest]))
    assert leases(guest)


def test_state_is_private(host: Host, guest: Guest) -> None:
    directory = host.directory / "n"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (directory, *directory.iterdir())}
    assert modes.pop("n") == 0o700
    assert all(mode & 0o077 == 0 for mode in modes.values()), modes
    assert {"snapshot.json", "token.key", "socket", "log", "lock"} <= set(modes)


async def test_a_second_process_for_one_directory_ends(directory: Path) -> None:
    client = NetserviceClient(directory)
    await client.ensure_running()
    try:
        again = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "hostagent.netservice", "--state-dir", str(directory)],
            capture_output=True, text=True, timeout=20, check=False,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
        )  # fmt: skip
        assert again.returncode == 1
        assert "another network service" in again.stderr
        assert (await client.status()).status.generation == -1
    finally:
        await client.stop()


async def running(directory: Path) -> int:
    """The process at the other end of the socket."""
    _, writer = await asyncio.open_unix_connection(str(directory / "socket"))
    credentials = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    writer.close()
    return struct.unpack("3i", credentials)[0]


async def test_an_older_version_is_replaced(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = NetserviceClient(directory)
    await client.apply(SnapshotSpec(generation=4))
    try:
        first = await running(directory)
        monkeypatch.setattr("hostagent.netservice.client.own_version", lambda: "newer")
        await client.ensure_running()
        assert await running(directory) != first
        monkeypatch.undo()
        assert (await client.status()).status.generation == 4
    finally:
        await client.stop()


async def test_rubbish_on_the_socket_is_answered(directory: Path) -> None:
    client = NetserviceClient(directory)
    await client.ensure_running()
    try:
        for rubbish in (b"", b"{", b'{"do":"dance"}', b"\xff" * 100_000):
            reader, writer = await asyncio.open_unix_connection(str(directory / "socket"))
            writer.write(rubbish)
            writer.write_eof()
            assert json.loads(await reader.read())["problem"]["code"] == "invalid_spec"
            writer.close()
        assert (await client.call(Command(do="status"))).problem is None
    finally:
        await client.stop()
    assert not (directory / "socket").exists()


def test_a_path_too_long_for_a_socket_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 107 bytes"):
        NetserviceClient(Path("/tmp") / ("x" * 120))
