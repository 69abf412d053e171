"""Consoles of real guests through the agent's WebSocket: RFB and SPICE handshakes, the serial line, screenshots, their end."""

import asyncio
import stat
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from hostagent.api.app import create_app
from hostagent.contract import Problem
from hostagent.ensure.agent import Agent
from tests.hostagent.real_agent import put
from tests.hostagent.specs import VM
from tests.hostagent.test_boot_and_media import CD, cached_iso
from tools.guests import nano
from tools.lab import Host

pytestmark = pytest.mark.host


@asynccontextmanager
async def served(agent: Agent) -> AsyncIterator[str]:
    """The agent's own application on loopback, without TLS; the agent is open already."""
    app = create_app(agent)
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off", ws="websockets-sansio")
    )
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield f"127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1/vms/{VM}"
    finally:
        server.should_exit = True
        await serving


async def exactly(websocket, count: int, have: bytearray) -> bytes:
    while len(have) < count:
        have += await websocket.recv()
    taken = bytes(have[:count])
    del have[:count]
    return taken


async def test_vnc_shakes_hands_shows_the_screen_and_ends_with_the_guest(agent: Agent, machine: Host) -> None:
    status = await put(agent, console_password="secret77")
    async with served(agent) as url, connect(f"ws://{url}/consoles/vnc") as vnc, asyncio.timeout(20):
        have = bytearray()
        assert await exactly(vnc, 12, have) == b"RFB 003.008\n"
        await vnc.send(b"RFB 003.008\n")
        assert await exactly(vnc, 2, have) == b"\x01\x01"  # no password is asked of whom the agent lets in
        await vnc.send(b"\x01")
        assert await exactly(vnc, 4, have) == b"\0\0\0\0"
        await vnc.send(b"\x01")
        width, height = struct.unpack(">HH", (await exactly(vnc, 24, have))[:4])
        assert width >= 640 and height >= 400
        await put(agent, generation=2, power="stopped", stop_timeout=0)
        with pytest.raises(ConnectionClosed):
            while True:
                await vnc.recv()
    assert status.consoles[0].host == "127.0.0.1"


async def test_the_port_itself_asks_for_the_password(agent: Agent, machine: Host) -> None:
    status = await put(agent, console_password="secret77")
    port = status.consoles[0].port
    ask = (
        f"import socket; s=socket.create_connection(('127.0.0.1', {port})); s.recv(12); s.send(b'RFB 003.008\\n'); "
        "print(list(s.recv(9)))"
    )
    assert machine.inside.run("/usr/bin/python3", "-c", ask).strip() == "[1, 2]"  # VNC authentication and nothing else
    shown = machine.inside.run("virsh", "-c", "qemu:///system", "dumpxml", VM)
    assert "secret77" not in shown
    [qemu] = machine.inside.run("pgrep", "-f", f"guest={VM}").split()
    assert "secret77" not in machine.inside.run("cat", f"/proc/{qemu}/cmdline")


async def test_spice_shakes_hands_for_each_of_its_channels(agent: Agent, machine: Host) -> None:
    await put(agent, console_mode="vncAndSpice")
    link = (
        struct.pack("<4sIII", b"REDQ", 2, 2, 18 + 4) + struct.pack("<IBBIII", 0, 1, 0, 1, 0, 18) + struct.pack("<I", 1)
    )
    async with served(agent) as url, asyncio.timeout(20):
        for _ in range(2):
            async with connect(f"ws://{url}/consoles/spice") as spice:
                await spice.send(link)
                have = bytearray()
                magic, major, _minor, size = struct.unpack("<4sIII", await exactly(spice, 16, have))
                assert (magic, major) == (b"REDQ", 2)
                assert struct.unpack("<I", (await exactly(spice, size, have))[:4]) == (0,)  # no error


async def test_the_serial_line_is_read_logged_and_taken_over(agent: Agent, machine: Host) -> None:
    cd = cached_iso(machine, nano.REBOOTING_ISO, "7" * 32)
    status = await put(agent, isos=[cd], boot_order=["CdRom"])
    async with served(agent) as url, asyncio.timeout(30), connect(f"ws://{url}/consoles/serial") as first:
        heard = b""
        while CD.encode() not in heard:
            heard += await first.recv()
        async with connect(f"ws://{url}/consoles/serial") as second:
            with pytest.raises(ConnectionClosed):
                while True:
                    await first.recv()
            await second.send(b"x")
            heard = b""
            while CD.encode() not in heard:
                heard += await second.recv()
    assert CD in Path(status.serial_log).read_text()
    assert stat.S_IMODE(Path(status.serial_log).stat().st_mode) & 0o077 == 0  # what a guest says is for its host alone


async def test_a_screenshot_is_png(agent: Agent, machine: Host) -> None:
    await put(agent)
    async with served(agent) as url, httpx.AsyncClient() as http:
        answer = await http.get(f"http://{url}/screenshot")
    assert answer.headers["content-type"] == "image/png"
    assert answer.content.startswith(b"\x89PNG\r\n\x1a\n")
    assert answer.content.endswith(b"IEND\xaeB`\x82")


async def test_what_cannot_be_opened_is_said(agent: Agent, machine: Host) -> None:
    await put(agent)
    async with served(agent) as url:
        for kind, code in (("spice", "no_console"), ("video", "invalid_spec")):
            with pytest.raises(InvalidStatus) as refused:
                async with connect(f"ws://{url}/consoles/{kind}"):
                    pass
            assert Problem.model_validate_json(refused.value.response.body).code == code


@pytest.mark.parametrize(
    ("mode", "runs"), [("none", "none"), ("host-model", "host-model"), ("host-passthrough", "maximum")]
)
async def test_the_mode_that_runs_under_emulation_is_told(agent: Agent, mode: str, runs: str) -> None:
    status = await put(agent, cpu_mode=mode)
    assert status.cpu_mode == runs
    assert status.cpu_model
