"""DHCP exchanges per second of one host: the service process beside dnsmasq and Kea, each with the same 20,000 static
entries, asked by a relay (four-way exchanges) over a veth pair. Server on core 0, client on core 1.

Each is asked twice: by perfdhcp at some rates, which is the known tool, and as fast as it answers (`dhcp_load`), which finds
what a server can do where perfdhcp is busier than the server. Three rounds of the latter, the servers in turn; medians.

Run as root: `python benchmarks/dhcp.py`. Everything happens in namespaces that end with the script.
"""

import asyncio
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from benchmarks.dhcp_load import load
from benchmarks.priority import ahead
from hostagent.contract import NetworkSpec, PortSpec, SnapshotSpec
from hostagent.drivers import naming
from hostagent.netservice.client import NetserviceClient

CLIENTS = 20_000
FIRST_MAC = 0x000C01020304
SERVER, CLIENT = "10.60.0.2", "10.60.0.1"
SECONDS = 4
ROUNDS = 3
TARGETS = ">= 10x dnsmasq, >= 2x kea-dhcp4 with one thread"
NETWORK = NetworkSpec(
    l3_uuid="be9c" * 8, bridge="none", cidr="10.60.0.0/16", gateway=CLIENT, service_ip=SERVER, dhcp=True,
    dns=["10.60.0.53"], domain="lan.example",
)  # fmt: skip
NAMESPACE = naming.namespace(NETWORK)


def mac(number: int) -> str:
    digits = f"{FIRST_MAC + number:012x}"
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))


def address(number: int) -> str:
    return str(IPv4Address("10.60.4.0") + number)


@dataclass
class Server:
    name: str
    rates: tuple[int, ...]  # offered, exchanges per second
    start: Callable[[Path], subprocess.Popen[bytes]]


def inside(*command: str, **environment: str) -> subprocess.Popen[bytes]:
    quiet = subprocess.DEVNULL
    return subprocess.Popen(
        ["ip", "netns", "exec", NAMESPACE, "taskset", "-c", "0", *command],
        stdin=quiet, stdout=quiet, stderr=quiet, env=os.environ | environment,
    )  # fmt: skip


def ours(directory: Path) -> subprocess.Popen[bytes]:
    state = directory / "state"
    process = subprocess.Popen(
        ["taskset", "-c", "0", sys.executable, "-m", "hostagent.netservice", "--state-dir", str(state)]
    )
    ports = [
        PortSpec(nic_uuid=f"{i:032x}", vm_uuid=f"{i:032x}", mac=mac(i), ip=address(i), tap=f"t{i}", is_default=True)
        for i in range(CLIENTS)
    ]
    snapshot = SnapshotSpec(generation=1, networks=[NETWORK.model_copy(update={"ports": ports})])
    asyncio.run(NetserviceClient(state).apply(snapshot) if wait_for(state / "socket") else asyncio.sleep(0))
    return process


def dnsmasq(directory: Path, *more: str) -> subprocess.Popen[bytes]:
    hosts = directory / "hosts"
    hosts.write_text("".join(f"{mac(i)},{address(i)}\n" for i in range(CLIENTS)))
    process = inside(
        "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--interface=service", "--bind-interfaces",
        "--dhcp-range=10.60.0.0,static,255.255.0.0,24h", f"--dhcp-hostsfile={hosts}", "--dhcp-lease-max=65535",
        f"--dhcp-leasefile={directory}/leases", "--no-ping", f"--pid-file={directory}/pid", "--user=root", *more,
    )  # fmt: skip
    return process


def kea(directory: Path) -> subprocess.Popen[bytes]:
    subnet = {
        "subnet": "10.60.0.0/16",
        "reservations": [{"hw-address": mac(i), "ip-address": address(i)} for i in range(CLIENTS)],
        "reservations-in-subnet": True,
        "option-data": [{"name": "routers", "data": CLIENT}, {"name": "domain-name-servers", "data": "10.60.0.53"}],
    }
    configuration = {
        "Dhcp4": {
            "interfaces-config": {"interfaces": ["service"], "dhcp-socket-type": "udp"},
            "multi-threading": {"enable-multi-threading": False},
            "lease-database": {"type": "memfile", "name": f"{directory}/kea.csv", "lfc-interval": 0},
            "valid-lifetime": 86400,
            "subnet4": [subnet],
            "loggers": [{"name": "kea-dhcp4", "severity": "FATAL"}],
        }
    }
    (directory / "kea.json").write_text(json.dumps(configuration))
    process = inside(
        "kea-dhcp4", "-c", f"{directory}/kea.json", KEA_PIDFILE_DIR=str(directory), KEA_LOCKFILE_DIR="none"
    )
    return process


SERVERS = [
    Server("dnsmasq", (500,), dnsmasq),
    Server("dnsmasq --leasefile-ro", (500,), lambda directory: dnsmasq(directory, "--leasefile-ro")),
    Server("kea-dhcp4, one thread", (3000, 5000, 8000), kea),
    Server("steppe", (5000, 9000, 11000), ours),
]


def await_answers() -> None:
    """However long a server takes to read its 20,000 entries."""
    deadline = time.monotonic() + 60
    while not perfdhcp(50, 1)[2]:
        if time.monotonic() > deadline:
            raise TimeoutError("the server does not answer")


@contextlib.contextmanager
def running(server: Server) -> Iterator[subprocess.Popen[bytes]]:
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        process = server.start(Path(directory))
        try:
            await_answers()
            yield process
        finally:
            process.terminate()
            process.wait()


def perfdhcp(rate: int, seconds: int = SECONDS) -> tuple[float, float, int]:
    """Completed exchanges per second, the share of packets without an answer, and the number of completed exchanges."""
    done = subprocess.run(
        ["taskset", "-c", "1", "perfdhcp", "-4", "-l", "eth0", "-r", str(rate), "-R", str(CLIENTS), "-b",
         f"mac={mac(0)}", "-p", str(seconds), "-W", "300000", SERVER],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = re.search(r"^Rate: ([\d.]+)", done.stdout, re.M)
    if found is None:
        raise RuntimeError(done.stdout + done.stderr)
    sent, received = (
        [int(number) for number in re.findall(rf"^{word} packets: (\d+)", done.stdout, re.M)]
        for word in ("sent", "received")
    )
    return float(found[1]), 1 - sum(received) / sum(sent), received[1]


def wait_for(path: Path) -> bool:
    deadline = time.monotonic() + 10
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(path)
        time.sleep(0.02)
    return True


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """User and system time of a process that `ip` and `taskset` have become."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    for command in (
        "mount -t tmpfs tmpfs /run", f"ip netns add {NAMESPACE}", "ip link set lo up",
        f"ip link add eth0 type veth peer name service netns {NAMESPACE}", f"ip addr add {CLIENT}/16 dev eth0",
        "ip link set eth0 up", f"ip -n {NAMESPACE} addr add {SERVER}/16 dev service",
        f"ip -n {NAMESPACE} link set service up", f"ip -n {NAMESPACE} link set lo up",
    ):  # fmt: skip
        subprocess.run(command.split(), check=True)
    ahead()
    offered()
    saturated()


def offered() -> None:
    print(f"{'perfdhcp asks':<26}{'offered/s':>10}{'done/s':>10}{'unanswered':>12}{'CPU us/exchange':>17}")
    for server in SERVERS:
        with running(server) as process:
            for rate in server.rates:
                before = cpu_seconds(process)
                done, lost, exchanges = perfdhcp(rate)
                cost = (cpu_seconds(process) - before) / exchanges * 1e6
                print(f"{server.name:<26}{rate:>10}{done:>10.0f}{lost:>12.1%}{cost:>17.0f}", flush=True)


def saturated() -> None:
    """Everything that each can do."""
    macs = [(FIRST_MAC + number).to_bytes(6, "big") for number in range(CLIENTS)]
    rates: dict[str, list[float]] = {server.name: [] for server in SERVERS}
    costs: dict[str, list[float]] = {server.name: [] for server in SERVERS}
    os.sched_setaffinity(0, {1})
    for _ in range(ROUNDS):
        for server in SERVERS:
            with running(server) as process:
                before = cpu_seconds(process)
                found = load(SERVER, CLIENT, macs, SECONDS)
                costs[server.name].append((cpu_seconds(process) - before) / found.done * 1e6)
                rates[server.name].append(found.done / found.seconds)
    ours, our_cost = (statistics.median(one["steppe"]) for one in (rates, costs))
    print(
        f"\n{'as fast as it answers':<26}{'done/s':>10}{'CPU us/exchange':>17}{'its core':>10}   steppe's rate, CPU beside it"
    )
    for server in SERVERS:
        rate, cost = (statistics.median(one[server.name]) for one in (rates, costs))
        beside = f"{ours / rate:>10.1f}x {cost / our_cost:>5.1f}x less" if server.name != "steppe" else ""
        print(f"{server.name:<26}{rate:>10.0f}{cost:>17.0f}{rate * cost / 1e6:>10.0%}{beside}")
    print(f"targets: {TARGETS}")


if __name__ == "__main__":
    if os.environ.get("BENCH_INSIDE"):
        main()
    else:
        unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]
        root = str(Path(__file__).parents[1])
        inner = os.environ | {"BENCH_INSIDE": "1", "PYTHONPATH": root}
        os.execvpe("unshare", [*unshare, sys.executable, *sys.argv], inner)
