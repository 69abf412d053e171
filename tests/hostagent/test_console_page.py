"""The console's page in a real browser, showing the screen of a real guest by VNC and by SPICE."""

import asyncio
import json
import os
import shutil
import struct
import zlib
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from controlplane.agents.client import Address, HostClients
from controlplane.api import console
from controlplane.api.app import create_app
from controlplane.contract.console import RequestConsoleAccess
from controlplane.main import import_all
from controlplane.operations.engine import Engine
from controlplane.services.console import request_access
from controlplane.services.registry import Caller
from controlplane.store import rows, schema
from controlplane.store.database import Database
from controlplane.store.journal import StoreJournal
from controlplane.workflows.registration import engine_registry
from controlplane.workflows.world import Settings, World
from hostagent.ensure.agent import Agent
from tests.browser import Tab, tab
from tests.controlplane.cloud import InProcess
from tests.controlplane.test_console import listening
from tests.hostagent.real_agent import put
from tests.hostagent.specs import VM
from tests.hostagent.test_boot_and_media import cached_iso
from tests.hostagent.test_console import served
from tools.guests import echo
from tools.lab import Host

pytestmark = [pytest.mark.host, pytest.mark.skipif(not shutil.which("chromium"), reason="needs Chromium")]

TEXT = "Paste: ls -l /tmp | wc\n[a_B] {c} \"d\" 'e' <f@g.h> ~$1+2=3? 100%!\n"


@pytest.mark.parametrize("mode", ["vnc", "spice"])
async def test_the_page_shows_the_screen(agent: Agent, machine: Host, tmp_path: Path, mode: str) -> None:
    cd = cached_iso(machine, echo.ISO, "7" * 32)
    guest = {"console_mode": mode, "memory_bytes": 64 << 20, "isos": [cd], "boot_order": ["CdRom"]}
    log = Path((await put(agent, **guest)).serial_log)
    import_all()
    db = Database(f"sqlite:///{tmp_path}/steppe.db")
    schema.upgrade(db)
    async with served(agent) as at:
        agent_port = int(at.split("/")[0].rpartition(":")[2])

        async def address(_uuid: str) -> Address:
            return Address("127.0.0.1", agent_port)

        hosts = HostClients(lambda: InProcess(httpx.AsyncHTTPTransport()), address)
        world = World(db, hosts, None, Settings(tmp_path, ""))  # type: ignore[arg-type]
        vm = {"uuid": VM, "name": "guest", "state": "Running", "host_uuid": "h" * 32}
        await db.write(lambda tx: rows.insert(tx, "VmInstanceVO", **vm))
        engine = Engine(StoreJournal(db), engine_registry(), world, uuid4().hex)
        async with listening(create_app(world, engine, [console.router(world)])) as port:
            world.settings.public_url = f"http://127.0.0.1:{port}"
            wish = RequestConsoleAccess(vm_instance_uuid=VM, protocol=mode)  # type: ignore[arg-type]
            access = (await request_access(world, Caller("admin"), wish))["inventory"]
            async with tab(tmp_path / "profile") as page:
                await page.open(access["url"])
                await page.until("document.body?.dataset.state === 'connected'")
                picture = await until_drawn(page, mode)
                await until_heard(page, log)
                await page.script("document.getElementById('full-screen').click()")
                await page.until("document.fullscreenElement?.id === 'screen'")
                await page.script("document.exitFullscreen()")
                await page.script("document.getElementById('ctrl-alt-del').click()")
                assert await page.script("document.getElementById('reconnect').hidden")
                await put(agent, generation=2, power="stopped", stop_timeout=0)
                await page.until("document.body?.dataset.state === 'lost'")
                await put(agent, **guest, generation=3)
                await page.script("document.getElementById('reconnect').click()")
                await page.until("document.body?.dataset.state === 'connected'")
                await until_drawn(page, mode)
            if keep := os.environ.get("STEPPE_KEEP_SCREENSHOTS"):
                (Path(keep) / f"console-{mode}.png").write_bytes(picture)
        await hosts.close()
    db.close()


async def paste(page: Tab, text: str) -> None:
    await page.script("document.getElementById('paste').click()")
    assert await page.script("document.getElementById('paste-dialog').open")
    await page.script(f"document.getElementById('paste-text').value = {json.dumps(text)}")
    await page.script("document.querySelector('#paste-dialog button[value=type]').click()")


async def until_heard(page: Tab, log: Path) -> None:
    """Its screen is drawn before the guest reads its keyboard: what it did not hear is pasted again."""
    for _ in range(20):
        await paste(page, TEXT)
        for _ in range(50):
            if TEXT in log.read_text(errors="replace"):
                return
            await asyncio.sleep(0.1)
    raise AssertionError(f"the guest heard {log.read_text(errors='replace')!r}")


async def until_drawn(page: Tab, mode: str) -> bytes:
    """The page's picture once the guest's text screen is on it: a black area with bright letters."""
    async with asyncio.timeout(30):
        while True:
            picture = await page.picture()
            width, height, pixels = read_png(picture)
            below = [pixels[x + y * width] for y in range(60, height, 2) for x in range(0, width, 2)]
            bright = sum(1 for pixel in below if min(pixel) > 140)
            black = sum(1 for pixel in below if max(pixel) < 12)
            if black > len(below) / 5 and bright > 100:
                return picture
            await asyncio.sleep(0.3)


def read_png(data: bytes) -> tuple[int, int, list[tuple[int, int, int]]]:
    """Pixels of an 8-bit RGB or RGBA PNG without interlacing, as browsers write them."""
    at, packed, width, height, channels = 8, b"", 0, 0, 3
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height, _, colour = struct.unpack(">IIBB", body[:10])
            channels = {2: 3, 6: 4}[colour]
        packed += body if kind == b"IDAT" else b""
        at += 12 + length
    raw, stride = zlib.decompress(packed), width * channels
    before, pixels = bytearray(stride), []
    for y in range(height):
        kind, line = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1 : (y + 1) * (stride + 1)])
        for i in range(stride):
            left = line[i - channels] if i >= channels else 0
            corner = before[i - channels] if i >= channels else 0
            line[i] = (
                line[i] + (0, left, before[i], (left + before[i]) // 2, _paeth(left, before[i], corner))[kind]
            ) & 255
        pixels += [tuple(line[i : i + 3]) for i in range(0, stride, channels)]
        before = line
    return width, height, pixels  # type: ignore[return-value]


def _paeth(a: int, b: int, c: int) -> int:
    distances = [(abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c)]
    return min(distances)[2]
