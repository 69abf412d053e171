"""Metadata of one host: requests per second and latency of the service process beside nginx serving the same bytes, and a boot
storm of 200 guests that each fetch what cloud-init's CloudStack source fetches.

Run as root: `python -m benchmarks.metadata`. Every guest has an address of its own, a connection for each request, as cloud-init
does it. Server on core 0, guests on core 1. Everything happens in namespaces that end with the script.
"""

import asyncio
import base64
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path

from hostagent.contract import InstanceMetadata, NetworkSpec, PortSpec, SnapshotSpec
from hostagent.drivers import naming
from hostagent.netservice.client import NetserviceClient

GUESTS, AT_ONCE, REQUESTS = 200, 20, 4000
SERVER = "10.60.0.2"
USER_DATA = b"#cloud-config\n" + b"# a comment of some length\n" * 60
KEYS = ("service-offering", "availability-zone", "local-ipv4", "local-hostname", "instance-id", "vm-id", "public-keys")
PATHS = ("/latest/user-data", "/latest/meta-data/", *(f"/latest/meta-data/{key}" for key in KEYS))
NETWORK = NetworkSpec(
    l3_uuid="be9c" * 8, bridge="none", cidr="10.60.0.0/16", gateway="10.60.0.1", service_ip=SERVER, userdata=True
)
NAMESPACE = naming.namespace(NETWORK)


def address(number: int) -> str:
    return str(IPv4Address("10.60.4.0") + number)


def ours(directory: Path) -> "subprocess.Popen[bytes]":
    state = directory / "state"
    process = subprocess.Popen(
        ["taskset", "-c", "0", sys.executable, "-m", "hostagent.netservice", "--state-dir", str(state)]
    )
    uuids = [f"{number:032x}" for number in range(GUESTS)]
    ports = [
        PortSpec(nic_uuid=uuid, vm_uuid=uuid, mac=f"fa:00:00:00:{n // 256:02x}:{n % 256:02x}", ip=address(n), tap=f"t{n}",
                 is_default=True)
        for n, uuid in enumerate(uuids)
    ]  # fmt: skip
    data = base64.b64encode(USER_DATA).decode()
    facts = {
        "hostname": "guest",
        "availability_zone": "dev",
        "service_offering": "small",
        "public_keys": ["ssh-ed25519 AAAA"],
    }
    told = [InstanceMetadata(vm_uuid=u, instance_id=u, user_data_base64=data, **facts) for u in uuids]
    networks = [NETWORK.model_copy(update={"ports": ports})]
    wait_for((state / "socket").exists)
    asyncio.run(NetserviceClient(state).apply(SnapshotSpec(generation=1, networks=networks, instances=told)))
    return process


def nginx(directory: Path) -> "subprocess.Popen[bytes]":
    root = directory / "html/latest"
    (root / "meta-data").mkdir(parents=True)
    (root / "user-data").write_bytes(USER_DATA)
    (root / "meta-data/index.html").write_text("\n".join(KEYS))
    for key in KEYS:
        (root / "meta-data" / key).write_text("something of that length")
    configuration = directory / "nginx.conf"
    configuration.write_text(
        f"daemon off; worker_processes 1; user root; pid {directory}/pid; error_log /dev/null;\n"
        "events { worker_connections 1024; }\n"
        f"http {{ access_log off; server {{ listen {SERVER}:80; root {directory}/html; }} }}\n"
    )
    inside = ["ip", "netns", "exec", NAMESPACE, "taskset", "-c", "0", "nginx", "-c", str(configuration)]
    return subprocess.Popen(inside, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the server did not start")
        time.sleep(0.02)


async def get(guest: int, path: str) -> float:
    """Seconds for one request of that guest."""
    start = time.perf_counter()
    reader, writer = await asyncio.open_connection(SERVER, 80, local_addr=(address(guest), 0))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {SERVER}\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    if b" 200 OK" not in answer[:20]:
        raise RuntimeError(f"{path}: {answer[:200]!r}")
    return time.perf_counter() - start


async def steady() -> tuple[float, list[float]]:
    """Requests per second, and each one's seconds, of some guests that ask one after the other."""
    numbers, taken = iter(range(REQUESTS)), []

    async def ask(worker: int) -> None:
        for number in numbers:
            taken.append(await get((number * AT_ONCE + worker) % GUESTS, "/latest/user-data"))

    start = time.perf_counter()
    await asyncio.gather(*(ask(worker) for worker in range(AT_ONCE)))
    return REQUESTS / (time.perf_counter() - start), taken


async def storm() -> list[float]:
    """Seconds of each request, when all guests boot at the same moment."""

    async def boot(guest: int) -> list[float]:
        return [await get(guest, path) for path in PATHS]

    return [taken for guest in await asyncio.gather(*map(boot, range(GUESTS))) for taken in guest]


async def answers() -> bool:
    try:
        await get(0, "/latest/user-data")
    except (OSError, RuntimeError):
        return False
    return True


def measure(start: Callable[[Path], "subprocess.Popen[bytes]"]) -> tuple[float, float, float]:
    """Requests per second, their p99, and the p99 of the storm, in seconds."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        process = start(Path(directory))
        try:
            wait_for(lambda: asyncio.run(answers()))
            asyncio.run(storm())
            rate, taken = asyncio.run(steady())
            stormed = asyncio.run(storm())
        finally:
            process.terminate()
            process.wait()
    return rate, statistics.quantiles(taken, n=100)[98], statistics.quantiles(stormed, n=100)[98]


def main() -> None:
    os.sched_setaffinity(0, {1})
    for command in (
        "mount -t tmpfs tmpfs /run", f"ip netns add {NAMESPACE}", "ip link set lo up",
        f"ip link add eth0 type veth peer name service netns {NAMESPACE}", "ip link set eth0 up",
        *(f"ip addr add {address(number)}/16 dev eth0" for number in range(GUESTS)),
        f"ip -n {NAMESPACE} addr add {SERVER}/16 dev service",
        f"ip -n {NAMESPACE} link set service up", f"ip -n {NAMESPACE} link set lo up",
    ):  # fmt: skip
        subprocess.run(command.split(), check=True)
    found = {name: measure(start) for name, start in (("nginx", nginx), ("steppe", ours))}
    print(f"{'server':<10}{'requests/s':>12}{'p99 ms':>10}{f'p99 ms, {GUESTS} guests boot':>28}")
    for name, (rate, late, stormed) in found.items():
        print(f"{name:<10}{rate:>12.0f}{late * 1e3:>10.1f}{stormed * 1e3:>28.1f}")
    ratios = [mine / theirs for mine, theirs in zip(found["steppe"], found["nginx"], strict=True)]
    print(f"{'ratio':<10}{ratios[0]:>11.2f}x{ratios[1]:>9.1f}x{ratios[2]:>27.1f}x")


if __name__ == "__main__":
    if os.environ.get("BENCH_INSIDE"):
        main()
    else:
        unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]
        root = str(Path(__file__).parents[1])
        inner = os.environ | {"BENCH_INSIDE": "1", "PYTHONPATH": root}
        os.execvpe("unshare", [*unshare, sys.executable, *sys.argv], inner)
