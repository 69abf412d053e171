"""`WebSocket /v1/vms/{uuid}/consoles/{vnc|spice|serial}`: the bytes of a console, both ways, until one side ends.

What cannot be opened is refused before the WebSocket is, with a `Problem`. A serial line has one reader: a new one takes
it over from the one before.
"""

import asyncio
import contextlib
import socket
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from hostagent.ensure.agent import Agent

CHUNK = 64 << 10


class Consoles:
    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._serial: dict[str, asyncio.Task[Any]] = {}

    async def serve(self, websocket: WebSocket, uuid: str, kind: Any) -> None:
        """Raises `HostError` while nothing is accepted yet."""
        if kind == "serial" and (old := self._serial.pop(uuid, None)):
            old.cancel()
            await asyncio.wait([old])
        line = await self._agent.vm.open_console(uuid, kind)
        await websocket.accept()
        task = asyncio.create_task(_bridge(websocket, line))
        if kind == "serial":
            self._serial[uuid] = task
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()
            if self._serial.get(uuid) is task:
                del self._serial[uuid]
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):  # the caller may have gone
            await websocket.close(1001 if task.cancelled() else 1000)


async def _bridge(websocket: WebSocket, line: socket.socket) -> None:
    line.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=line, limit=CHUNK)

    async def out() -> None:
        while data := await reader.read(CHUNK):
            await websocket.send_bytes(data)

    async def into() -> None:
        while True:
            writer.write(await websocket.receive_bytes())
            await writer.drain()

    tasks = [asyncio.create_task(out()), asyncio.create_task(into())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception) and not isinstance(ended, WebSocketDisconnect | OSError | KeyError):
                raise ended
        writer.close()
