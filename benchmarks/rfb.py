"""As much of the VNC protocol (RFC 6143) as it takes to press keys and to know when the screen changed."""

import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

_RAW_ONLY = struct.pack(">BxHi", 2, 1, 0)  # SetEncodings: raw


@dataclass(frozen=True)
class Line:
    send: Callable[[bytes], Awaitable[None]]
    receive: Callable[[], Awaitable[bytes]]


class Screen:
    def __init__(self, line: Line) -> None:
        self._line = line
        self._have = bytearray()
        self._pixel = 4  # bytes
        self._size = (0, 0)

    async def shake_hands(self) -> None:
        """For a server that asks for no password. The first whole frame has come."""
        await self._take(12)
        await self._line.send(b"RFB 003.008\n")
        await self._take((await self._take(1))[0])
        await self._line.send(b"\x01")
        assert await self._take(4) == b"\0\0\0\0"
        await self._line.send(b"\x01")
        head = await self._take(24)
        self._size = struct.unpack(">HH", head[:4])
        self._pixel = head[4] // 8
        await self._take(struct.unpack(">I", head[20:24])[0])
        await self._line.send(_RAW_ONLY)
        await self._ask(incremental=False)
        await self.frame()

    async def ask_for_changes(self) -> None:
        await self._ask(incremental=True)

    async def press(self, keysym: int) -> None:
        await self._line.send(struct.pack(">BBHI", 4, 1, 0, keysym) + struct.pack(">BBHI", 4, 0, 0, keysym))

    async def frame(self) -> None:
        """The next update has come whole."""
        while True:
            kind = (await self._take(1))[0]
            if kind == 0:
                break
            if kind == 3:  # the clipboard
                await self._take(struct.unpack(">3xI", await self._take(7))[0])
            elif kind != 2:  # 2 is the bell
                raise ValueError(f"unexpected message {kind}")
        (count,) = struct.unpack(">xH", await self._take(3))
        for _ in range(count):
            _x, _y, width, height, encoding = struct.unpack(">HHHHi", await self._take(12))
            if encoding == 0:
                await self._take(width * height * self._pixel)

    async def _ask(self, *, incremental: bool) -> None:
        await self._line.send(struct.pack(">BBHHHH", 3, incremental, 0, 0, *self._size))

    async def _take(self, count: int) -> bytes:
        while len(self._have) < count:
            self._have += await self._line.receive()
        taken = bytes(self._have[:count])
        del self._have[:count]
        return taken
