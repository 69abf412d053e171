"""Consoles: a key press until its frame, through the control plane's proxy beside a direct connection to the same QEMU; and the
memory of 200 idle sessions on one control plane beside websockify, which forks a process for each.

    python -m benchmarks.console [round-trip | memory]

The round trip needs root: a real host, agent, control plane (mutual TLS between them) and guest in namespaces. The guest is a
boot sector that shows each key it gets. Memory is the proportional set size (PSS) of the processes, after and before.
"""

import asyncio
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import libvirt
from websockets.asyncio.client import connect

from benchmarks.rfb import Line, Screen
from tools import build_provider
from tools.demo.terraform import ROOT, Stack
from tools.dev.cloud import SimulatedCloud
from tools.dev.content import populate
from tools.free_port import free_port
from tools.guests import echo
from tools.guests.cache import image
from tools.lab import Lab
from tools.lab.cloud import Cloud

KEYS, ROUNDS, PAUSE = 40, 3, 0.05
SESSIONS = 200
LIMIT = 1.5


# -- round trip --------------------------------------------------------------------------------------------------------


async def key_to_frame(line: Line) -> list[float]:
    """Seconds from each key press to the frame that shows it."""
    screen = Screen(line)
    await screen.shake_hands()
    seconds = []
    for number in range(KEYS):
        await screen.ask_for_changes()
        start = time.perf_counter()
        await screen.press(ord("a") + number % 26)
        await screen.frame()
        seconds.append(time.perf_counter() - start)
        await asyncio.sleep(PAUSE + number * 0.001)  # out of step with QEMU's own clock
    return seconds


@asynccontextmanager
async def direct(uri: str, uuid: str) -> AsyncIterator[Line]:
    """QEMU itself, by a socket that libvirt hands to it."""
    connection = libvirt.open(uri)
    line = socket.socket(
        fileno=connection.lookupByUUIDString(uuid).openGraphicsFD(0, libvirt.VIR_DOMAIN_OPEN_GRAPHICS_SKIPAUTH)
    )
    line.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=line)

    async def send(data: bytes) -> None:
        writer.write(data)
        await writer.drain()

    try:
        yield Line(send, lambda: reader.read(65536))
    finally:
        writer.close()
        connection.close()


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[Line]:
    async with connect(url, max_size=None, proxy=None) as websocket:

        async def receive() -> bytes:
            data = await websocket.recv()
            return data if isinstance(data, bytes) else data.encode()

        yield Line(websocket.send, receive)


async def measured(line: "Callable[[], object]") -> float:
    async with line() as opened:  # type: ignore[attr-defined]
        return statistics.median(await key_to_frame(opened))


def round_trip(folder: Path) -> None:
    build_provider.main()
    iso = folder / "images/echo.iso"
    iso.parent.mkdir()
    shutil.copyfile(image(echo.ISO), iso)
    with Lab(folder / "lab") as lab:
        cloud = Cloud(lab, iso.parent)
        (host,) = cloud.add_hosts("host-a")
        variables = {"host_ip": host.address, "iso_url": f"file://{iso}", "disk_gib": 1, "memory_mib": 32}
        stack = Stack(ROOT / "examples/install-from-iso", folder / "stack", cloud.endpoint, cloud.password, variables)
        stack.init()
        stack.apply()
        uuid = stack.outputs()["vm"]["uuid"]
        time.sleep(5)  # its BIOS
        direct_ones, proxied_ones = [], []
        for _ in range(ROUNDS):
            direct_ones.append(asyncio.run(measured(lambda: direct(host.uri, uuid))))
            asked = {"vmInstanceUuid": uuid, "protocol": "vnc"}
            token = cloud.api.create("RequestConsoleAccess", "/consoles", asked, timeout=30)["token"]
            url = f"ws://127.0.0.1:8080/console/stream?token={token}"
            client = (sys.executable, "-m", "benchmarks.console", "client", url)
            proxied_ones.append(float(lab.underlay.run(*client, timeout=300)))
    ours, theirs = statistics.median(proxied_ones), statistics.median(direct_ones)
    print(f"{'key press to frame, direct to QEMU':<52} {theirs * 1000:>8.1f} ms")
    print(f"{'key press to frame, through control plane and agent':<52} {ours * 1000:>8.1f} ms")
    print(f"{'ratio':<52} {ours / theirs:>8.2f} x   target ≤ {LIMIT:g} x")


# -- memory ------------------------------------------------------------------------------------------------------------


def pss(*pids: int) -> int:
    """KiB."""
    total = 0
    for pid in pids:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += int(next(line for line in rollup.splitlines() if line.startswith("Pss:")).split()[1])
    return total


def family(pid: int) -> list[int]:
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [pid, *(one for child in children for one in family(child))]


@dataclass
class Sessions:
    """Idle WebSockets, each of which has heard the greeting of its VNC server."""

    stack: list[object] = field(default_factory=list)

    async def add(self, url: str, count: int) -> None:
        for _ in range(count):
            websocket = await connect(url, subprotocols=["binary"], proxy=None, ping_interval=None)  # type: ignore[list-item]
            assert b"RFB" in bytes(await websocket.recv())  # type: ignore[arg-type]
            self.stack.append(websocket)


async def ours(cloud: SimulatedCloud, vm: str) -> tuple[float, float]:
    """KiB of each session: in the control plane, and in the host agent."""
    control_plane, agents = cloud.pids[:2]
    sessions = Sessions()

    async def add(count: int) -> None:
        for _ in range(count):
            asked = {"vmInstanceUuid": vm, "protocol": "vnc"}
            made = await asyncio.to_thread(
                cloud.client.create, "RequestConsoleAccess", "/consoles", asked, timeout=30
            )  # fmt: skip
            await sessions.add(f"ws{cloud.endpoint.removeprefix('http')}/console/stream?token={made['token']}", 1)

    await add(10)  # what the first ones load is not theirs
    await asyncio.sleep(2)
    before = pss(control_plane), pss(agents)
    await add(SESSIONS)
    await asyncio.sleep(2)
    after = pss(control_plane), pss(agents)
    return (after[0] - before[0]) / SESSIONS, (after[1] - before[1]) / SESSIONS


async def websockify() -> float:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"RFB 003.008\n")
        await asyncio.Event().wait()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    target, port = server.sockets[0].getsockname()[1], free_port()
    with subprocess.Popen(
        ["websockify", f"127.0.0.1:{port}", f"127.0.0.1:{target}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    await asyncio.sleep(0.1)
            sessions = Sessions()
            await sessions.add(f"ws://127.0.0.1:{port}/", 10)
            await asyncio.sleep(1)
            before = pss(*family(process.pid))
            await sessions.add(f"ws://127.0.0.1:{port}/", SESSIONS)
            await asyncio.sleep(1)
            return (pss(*family(process.pid)) - before) / SESSIONS
        finally:
            process.terminate()


def memory(folder: Path) -> None:
    with SimulatedCloud(folder / "cloud", 1) as cloud:
        content = populate(cloud)
        idle = {"value": "3600"}
        cloud.client.action("/global-configurations/console/proxy.idleTimeout", "updateGlobalConfig", idle, timeout=30)
        asked = {
            "name": "vm", "instanceOfferingUuid": content.offering, "imageUuid": content.image,
            "l3NetworkUuids": [content.network],
        }  # fmt: skip
        vm = cloud.client.create("CreateVmInstance", "/vm-instances", asked, timeout=120)["uuid"]
        mine, agent = asyncio.run(ours(cloud, vm))
    theirs = asyncio.run(websockify())
    print(f"{f'memory of one of {SESSIONS} idle sessions, control plane':<52} {mine:>8.0f} KiB")
    print(f"{'the same, host agent':<52} {agent:>8.0f} KiB")
    print(f"{'the same, websockify':<52} {theirs:>8.0f} KiB")
    print(f"{'control plane beside websockify':<52} {mine / theirs:>8.2f} x")


def main() -> None:
    match sys.argv[1:]:
        case ["client", url]:
            print(asyncio.run(measured(lambda: proxied(url))))
            return
        case [part]:
            parts: list[Callable[[Path], None]] = [{"round-trip": round_trip, "memory": memory}[part]]
        case _:
            parts = [round_trip, memory]
    for part_ in parts:
        with tempfile.TemporaryDirectory() as folder:
            part_(Path(folder))


if __name__ == "__main__":
    main()
