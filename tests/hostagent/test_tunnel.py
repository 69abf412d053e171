"""The tunnel of a moving VM between two agents: real mutual TLS, UNIX sockets at both ends."""

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from hostagent.contract import HostError
from hostagent.ports.peers import TUNNELS, Admitted, Grant, Source
from tests.hostagent.transfer_pair import DESTINATION, SECRET, SOURCE, STRANGER, Pair

VM = "7" * 32
ADMITTED = Admitted(VM, frozenset(), frozenset(), "127.0.0.1", frozenset())


class Ends:
    """The source's directory of sockets, and listeners at the destination's."""

    def __init__(self, pair: Pair, tmp_path: Path) -> None:
        self.here, self.pair, self.port = tmp_path / "here/move", pair, 0
        (tmp_path / "there").mkdir()
        self.there = {name: tmp_path / "there" / name for name in TUNNELS}

    async def open(self, **changed: object) -> None:
        grant = {"peer_agent_uuid": SOURCE, "paths": {}, "secret": SECRET, "seconds": 60.0}
        sockets = {name: str(path) for name, path in self.there.items()}
        self.port = await self.pair.destination.peers.serve(Grant(VM, sockets=sockets, admitted=ADMITTED, **grant))  # type: ignore[arg-type]
        given = {"agent_uuid": DESTINATION, "export_uuid": VM, "secret": SECRET} | changed
        await self.pair.source.peers.open_tunnel(Source("127.0.0.1", self.port, **given), str(self.here))  # type: ignore[arg-type]

    @contextlib.contextmanager
    def joined(self, name: str) -> Iterator[tuple[socket.socket, socket.socket]]:
        with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as near:
            listener.bind(str(self.there[name]))
            listener.listen()
            listener.settimeout(20)
            near.settimeout(20)
            near.connect(str(self.here / name))
            far, _ = listener.accept()
            far.settimeout(20)
            with far:
                yield near, far


@pytest.fixture
async def ends(tmp_path: Path) -> AsyncIterator[Ends]:
    pair = Pair(tmp_path)
    yield Ends(pair, tmp_path)
    await pair.source.peers.close_tunnel(str(tmp_path / "here/move"))
    for side in (pair.source, pair.destination):
        await side.end()


def read_all(one: socket.socket) -> bytes:
    found = b""
    while data := one.recv(1 << 16):
        found += data
    return found


async def test_bytes_go_both_ways_and_each_direction_ends_alone(ends: Ends) -> None:
    await ends.open()
    there, back = os.urandom(9 << 20), os.urandom(3 << 20)

    def talk() -> tuple[bytes, bytes]:
        with ends.joined("memory") as (near, far):
            sender = threading.Thread(target=lambda: (near.sendall(there), near.shutdown(socket.SHUT_WR)))
            sender.start()
            heard = read_all(far)
            sender.join()
            answerer = threading.Thread(target=lambda: (far.sendall(back), far.shutdown(socket.SHUT_WR)))
            answerer.start()
            answer = read_all(near)
            answerer.join()
            return heard, answer

    assert await asyncio.to_thread(talk) == (there, back)


async def test_several_connections_at_once(ends: Ends) -> None:
    await ends.open()

    def talk(name: str) -> bool:
        with ends.joined(name) as (near, far):
            near.sendall(name.encode())
            return far.recv(100) == name.encode()

    assert await asyncio.gather(*(asyncio.to_thread(talk, name) for name in ("memory", "disks"))) == [True, True]


async def test_libvirt_hears_nothing_but_the_move(ends: Ends) -> None:
    await ends.open()

    def talk() -> bytes:
        with ends.joined("libvirt") as (near, far):
            near.sendall(
                b"\0\0\0\x1c" + b"\x20\0\x80\x86" + b"\0\0\0\1" + b"\0\0\0\x0a" + b"\0" * 12
            )  # create a domain
            return far.recv(100)

    assert await asyncio.to_thread(talk) == b""


async def test_nobody_else_gets_in(ends: Ends) -> None:
    for changed in ({"secret": "x" * 64}, {"export_uuid": "8" * 32}, {"agent_uuid": STRANGER}):
        with pytest.raises(HostError):
            await ends.open(**changed)
        assert not ends.here.exists()


async def test_closing_ends_connections_and_leaves_nothing(ends: Ends) -> None:
    await ends.open()
    assert oct(ends.here.stat().st_mode & 0o777) == "0o700"

    def talk() -> tuple[bytes, bytes]:
        with ends.joined("memory") as (near, far):
            near.sendall(b"x")
            far.recv(1)
            asyncio.run_coroutine_threadsafe(ends.pair.source.peers.close_tunnel(str(ends.here)), loop).result()
            return near.recv(1), far.recv(1)

    loop = asyncio.get_running_loop()
    assert await asyncio.to_thread(talk) == (b"", b"")
    assert not ends.here.exists()
    assert await ends.pair.source.peers.close_tunnel(str(ends.here)) == "", "absent is success"


async def test_why_it_broke_is_told(ends: Ends) -> None:
    await ends.open()

    def talk() -> None:
        with ends.joined("memory") as (near, far):
            near.sendall(b"x")
            far.recv(1)
            asyncio.run_coroutine_threadsafe(ends.pair.destination.peers.revoke(VM), loop).result()
            near.recv(1)

    loop = asyncio.get_running_loop()
    await asyncio.to_thread(talk)
    assert "memory: " in await ends.pair.source.peers.close_tunnel(str(ends.here))
