"""A headless Chromium driven by its DevTools protocol: open a page, run script in it, wait, take its picture."""

import asyncio
import base64
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

_COMMAND = [
    "chromium",
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=900,600",
    "--remote-debugging-port=0",
]


class Tab:
    def __init__(self, line: ClientConnection) -> None:
        self._line = line
        self._number = 0

    async def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        await self._line.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while (answer := json.loads(await self._line.recv())).get("id") != self._number:
            pass
        assert "error" not in answer, answer
        return dict(answer["result"])

    async def open(self, url: str) -> None:
        await self.command("Page.enable")
        await self.command("Page.navigate", url=url)

    async def script(self, text: str) -> Any:
        answer = await self.command(
            "Runtime.evaluate", expression=text, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, condition: str, seconds: float = 30) -> None:
        async with asyncio.timeout(seconds):
            while not await self.script(condition):
                await asyncio.sleep(0.1)

    async def picture(self) -> bytes:
        return base64.b64decode((await self.command("Page.captureScreenshot", format="png"))["data"])


@asynccontextmanager
async def tab(profile: Path) -> AsyncIterator[Tab]:
    profile.mkdir(parents=True)
    with (profile / "log").open("w") as log:
        chromium = subprocess.Popen([*_COMMAND, f"--user-data-dir={profile}", "about:blank"], stderr=log)
    try:
        said = profile / "DevToolsActivePort"
        async with asyncio.timeout(60):
            while not said.exists() or said.read_text().count("\n") < 1:
                assert chromium.poll() is None, (profile / "log").read_text()[-2000:]
                await asyncio.sleep(0.05)
        port, path = said.read_text().splitlines()[:2]
        async with connect(f"ws://127.0.0.1:{port}{path}", proxy=None) as browser:
            made = await Tab(browser).command("Target.createTarget", url="about:blank")
        page = f"ws://127.0.0.1:{port}/devtools/page/{made['targetId']}"
        async with connect(page, max_size=None, proxy=None) as line:
            yield Tab(line)
    finally:
        chromium.terminate()
        await asyncio.to_thread(chromium.wait, 20)
