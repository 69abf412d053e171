"""Copies between agents that are broken off, restarted, falsified, cancelled, slowed, or that find no room."""

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hostagent.contract import ImportFile
from hostagent.drivers import peer_pull, sparse
from tests.hostagent.transfer_pair import (
    EXPORT,
    IMPORT,
    MIB,
    VOLUME,
    Pair,
    sparse_file,
)
from tests.proxy import Proxy


class Traffic:
    """Counts the windows that are asked for, and may do something before."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read: list[int] = []
        self.before = lambda count: None
        original = peer_pull._Worker.ask

        def ask(worker: Any, request: dict[str, Any]) -> None:
            if "read" in request:
                self.before(len(self.read))
                self.read.append(request["window"])
            original(worker, request)

        monkeypatch.setattr(peer_pull._Worker, "ask", ask)


IN_FLIGHT = peer_pull.WORKERS * peer_pull.AHEAD  # windows


async def test_a_broken_connection_is_gone_on_with(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    sparse_file(pair.source.path(VOLUME), 60 * MIB, 60)
    traffic, loop = Traffic(monkeypatch), asyncio.get_running_loop()
    await pair.export()
    async with Proxy(pair.source.port) as proxy:
        due = [3, 8]

        def cut(count: int) -> None:
            if due and count >= due[0]:
                due.pop(0)
                loop.call_soon_threadsafe(proxy.reset)

        traffic.before = cut  # type: ignore[assignment]
        status = await pair.fetch(source_port=proxy.port)
        assert (status.state, status.error) == ("ready", "")
        assert proxy.resets
    assert pair.same()
    again = len(traffic.read) - len(set(traffic.read))
    assert again <= 2 * IN_FLIGHT, "only what was on its way is fetched again"


async def test_a_restarted_agent_keeps_what_is_right(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    sparse_file(pair.source.path(VOLUME), 60 * MIB, 60)
    traffic = Traffic(monkeypatch)
    traffic.before = lambda count: time.sleep(0.02)
    await pair.export()
    while len(traffic.read) < 9:
        await pair.fetch(wait=0.02)
    await pair.destination.end()
    pair.destination.begin()
    done = set(traffic.read)
    part = pair.destination.path(f"{VOLUME}.part")
    number = min(done)
    with part.open("r+b") as file:  # and one window was damaged meanwhile
        file.seek(number * sparse.WINDOW)
        file.write(os.urandom(sparse.WINDOW))
    traffic.read.clear()
    assert (await pair.fetch()).state == "ready"
    assert pair.same()
    assert number in traffic.read
    again = (done - {number}) & set(traffic.read)
    assert len(again) <= IN_FLIGHT, "only what was on its way is fetched again"


async def test_a_restart_between_verifying_and_renaming(pair: Pair) -> None:
    sparse_file(pair.source.path(VOLUME), 9 * MIB, 9)
    await pair.export()
    assert (await pair.fetch()).state == "ready"
    path = pair.destination.path(VOLUME)
    path.rename(f"{path}.part")
    await pair.source.exports.delete(EXPORT)
    await pair.destination.end()
    pair.destination.begin()
    assert (await pair.fetch()).state == "ready"
    assert pair.same()


async def test_a_flipped_bit_is_fetched_again_and_a_bad_disk_is_told(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    sparse_file(pair.source.path(VOLUME), 30 * MIB, 30)
    flips = [1]
    original = peer_pull._write

    def write(descriptor: int, content: memoryview, offset: int) -> None:
        broken = bytearray(content)
        if flips and len(broken) > 100:
            flips.pop()
            broken[77] ^= 4
        original(descriptor, memoryview(broken), offset)

    monkeypatch.setattr(peer_pull, "_write", write)
    await pair.export()
    assert (await pair.fetch()).state == "ready"
    assert pair.same()
    await pair.destination.imports.delete(IMPORT, keep=False)

    flips.extend([1] * 10_000)
    status = await pair.fetch()
    assert status.state == "failed"
    assert status.error.startswith("checksum_mismatch: ")
    assert pair.destination.files() == []


async def test_a_file_that_changes_is_refused(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    sparse_file(pair.source.path(VOLUME), 30 * MIB, 30)
    traffic = Traffic(monkeypatch)

    def change(count: int) -> None:
        if count >= 3:
            with pair.source.path(VOLUME).open("r+b") as file:
                file.write(b"guest")
            os.utime(pair.source.path(VOLUME))

    traffic.before = change  # type: ignore[assignment]
    await pair.export()
    status = await pair.fetch()
    assert status.error == "in_use: the file changes while it is copied"
    assert pair.destination.files() == []


async def test_cancelled_it_leaves_nothing(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    sparse_file(pair.source.path(VOLUME), 60 * MIB, 60)
    traffic = Traffic(monkeypatch)
    traffic.before = lambda count: time.sleep(0.05)
    await pair.export()
    status = await pair.fetch(wait=0.2)
    assert status.state == "copying"
    await pair.destination.imports.delete(IMPORT, keep=False)
    assert pair.destination.files() == []
    assert list(pair.destination.root.iterdir()) == []
    fetched = len(traffic.read)
    await asyncio.sleep(0.2)
    assert len(traffic.read) <= fetched + IN_FLIGHT


async def test_a_later_import_of_the_same_file_takes_over(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    sparse_file(pair.source.path(VOLUME), 60 * MIB, 60)
    traffic = Traffic(monkeypatch)
    traffic.before = lambda count: time.sleep(0.05)
    await pair.export()
    assert (await pair.fetch(wait=0)).state == "copying"
    spec = pair.destination.imports._copies[IMPORT].spec
    traffic.before = lambda count: None
    assert (await pair.destination.imports.put("2" * 32, spec, 60)).state == "ready"
    assert (await pair.destination.imports.get(IMPORT)).state == "absent"
    await pair.destination.imports.delete(IMPORT, keep=False)
    assert pair.same()


async def test_the_bandwidth_limit(pair: Pair) -> None:
    path = pair.source.path(VOLUME)
    path.parent.mkdir(parents=True)
    path.write_bytes(os.urandom(24 * MIB))
    await pair.export()
    began = time.monotonic()
    assert (await pair.fetch(bytes_per_second=32 * MIB)).state == "ready"
    assert time.monotonic() - began > 0.5, "24 MiB at 32 MiB/s were there too soon"


# -- a full disk -------------------------------------------------------------------------------------------------


@pytest.fixture
def small(pair: Pair) -> Iterator[Path]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", pair.destination.root], check=True)
    yield pair.destination.root
    subprocess.run(["umount", pair.destination.root], check=True)


@pytest.mark.host
@pytest.mark.parametrize("told", [40 * MIB, 1], ids=["known before", "met on the way"])
async def test_a_full_disk(pair: Pair, small: Path, told: int) -> None:
    path = pair.source.path(VOLUME)
    path.parent.mkdir(parents=True)
    path.write_bytes(os.urandom(40 * MIB))
    await pair.export()
    status = await pair.fetch([ImportFile(path=VOLUME, actual_size=told)])
    assert status.error.startswith("no_space: ")
    assert list(small.iterdir()) == []
