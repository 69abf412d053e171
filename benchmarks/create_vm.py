"""CreateVmInstance on simulated hosts: how long until N VMs asked for at once are all running.

    python -m benchmarks.create_vm [--counts 1 10 100 1000 10000] [--clients 3000] [--url http://127.0.0.1:8080 --password password]

Without --url it starts what `make dev HOSTS=50` starts: one control plane, the real agent application over simulated
drivers, one HTTPS connection pool per host. Client, control plane and agents share this machine; the CPU time that a VM
costs each of the three is what depends least on who else uses it. ZStack's published figures (README of 2021: nested real VMs mixed
with simulator VMs, 100 client threads, one management node, hardware not stated) are printed beside ours for orientation;
conditions are not equal.
"""

import argparse
import asyncio
import contextlib
import hashlib
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.priority import ahead
from tools.dev.cloud import SimulatedCloud
from tools.dev.content import populate

PUBLISHED = {1: 0.51, 10: 1.55, 100: 11.33, 1_000: 103.0, 10_000: 1_380.0}
TARGET = {1: 0.4, 10: 0.6, 100: 1.5, 1_000: 6.0, 10_000: 60.0}  # seconds
CLIENTS = 3_000  # that wait at once, at the most; --clients 100 is what ZStack's figure was taken with
AT_ONCE = 100  # deletions
HOSTS = 50


class Cloud:
    """A thin client of the REST wire: log in, find one of a kind, create a VM and wait for its job."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.http = http

    async def log_in(self, password: str) -> None:
        digest = hashlib.sha512(password.encode()).hexdigest()
        body = {"logInByAccount": {"accountName": "admin", "password": digest}}
        answer = await self.call("PUT", "/v1/accounts/login", json=body)
        self.http.headers["Authorization"] = f"OAuth {answer['inventory']['uuid']}"

    async def only(self, path: str, **conditions: str) -> str:
        query = [("q", f"{name}={value}") for name, value in conditions.items()]
        answer = await self.call("GET", f"/v1/{path}", params=query)
        return str(answer["inventories"][0]["uuid"])

    async def job(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        location = (await self.call(method, path, **options))["location"]
        while True:
            async with self.http.get(location, params={"wait": 25}) as state:
                if state.status == 200:
                    return dict(await state.json())
                if state.status != 202:
                    raise RuntimeError(await state.text())

    async def call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        async with self.http.request(method, path, **options) as answer:
            if not answer.ok:
                raise RuntimeError(await answer.text())
            return dict(await answer.json())

    async def destroy(self, uuid: str) -> None:
        await self.job("DELETE", f"/v1/vm-instances/{uuid}")
        await self.job("PUT", f"/v1/vm-instances/{uuid}/actions", json={"expungeVmInstance": {}})


async def run(cloud: Cloud, count: int, clients: int) -> tuple[float, list[str]]:
    """Seconds until `count` VMs are running, and their uuids."""
    params = {
        "instanceOfferingUuid": await cloud.only("instance-offerings"),
        "imageUuid": await cloud.only("images", mediaType="RootVolumeTemplate"),
        "l3NetworkUuids": [await cloud.only("l3-networks")],
    }
    numbers = iter(range(count))
    uuids: list[str] = []

    async def client() -> None:
        for number in numbers:
            body = {"params": {"name": f"bench-{number}", **params}}
            result = await cloud.job("POST", "/v1/vm-instances", json=body)
            inventory = result["inventory"]
            assert isinstance(inventory, dict) and inventory["state"] == "Running", result
            uuids.append(str(inventory["uuid"]))

    start = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(min(clients, count))))
    return time.perf_counter() - start, uuids


async def measure(
    options: argparse.Namespace, cpu: Callable[[], list[float]], memory: Callable[[], str], keep: bool
) -> None:
    """`keep`: the last VMs are left there, with the cloud."""
    clients, counts = options.clients, options.counts
    connector = aiohttp.TCPConnector(limit=clients * 2)
    async with aiohttp.ClientSession(options.url, connector=connector, timeout=aiohttp.ClientTimeout(300)) as http:
        cloud = Cloud(http)
        await cloud.log_in(options.password)
        await asyncio.gather(
            *(cloud.destroy(uuid) for uuid in (await run(cloud, 3 * HOSTS, clients))[1])
        )  # images are everywhere
        print(
            f"{'VMs':>6} {'seconds':>9} {'target':>8} {'VMs/s':>8} {'ZStack published':>17} {'ratio':>7}"
            f"   CPU ms/VM: control plane, agents, client   most MiB: control plane, agents"
        )
        for count in counts:
            before = cpu()
            seconds, uuids = await run(cloud, count, clients)
            spent = " ".join(f"{(now - then) / count * 1000:>6.1f}" for now, then in zip(cpu(), before, strict=True))
            published, target = PUBLISHED.get(count), TARGET.get(count)
            beside = f"{published:>15.2f} s {published / seconds:>6.1f}x" if published else f"{'-':>17} {'-':>7}"
            wanted = f"{target:>6.1f} s" if target else f"{'-':>8}"
            print(
                f"{count:>6} {seconds:>9.2f} {wanted} {count / seconds:>8.1f} {beside}   {spent}   {memory()}",
                flush=True,
            )
            if keep and count == counts[-1]:
                return
            for start in range(0, len(uuids), AT_ONCE):
                await asyncio.gather(*(cloud.destroy(uuid) for uuid in uuids[start : start + AT_ONCE]))


@contextlib.contextmanager
def own_cloud() -> Iterator[SimulatedCloud]:
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        SimulatedCloud(Path(folder), HOSTS, base_ip="127.0.73.1") as cloud,
    ):
        populate(cloud)
        yield cloud


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def most_memory(pid: int) -> int:
    """MiB resident at the most, so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="of a cloud that runs already")
    parser.add_argument("--password", default="password")
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 10, 100, 1_000, 10_000])
    parser.add_argument("--clients", type=int, default=CLIENTS, help="at once")
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[
        1
    ]  # a connection is a file, also of the control plane, which inherits this
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if options.url:
        cpu = lambda: [time.process_time()]  # noqa: E731
        asyncio.run(measure(options, cpu, str, False))
        return
    with own_cloud() as cloud:
        ahead(cloud.pids)

        def spent() -> list[float]:
            return [*map(cpu_seconds, cloud.pids), time.process_time()]

        def memory() -> str:
            return " ".join(f"{most_memory(pid):>6}" for pid in cloud.pids)

        options.url, options.password = cloud.endpoint, cloud.password
        asyncio.run(measure(options, spent, memory, True))


if __name__ == "__main__":
    main()
