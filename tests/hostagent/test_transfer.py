"""Files go from one agent to another over real mutual TLS: exact, resumed, verified, limited, cancelled, and to nobody else."""

import asyncio
import os
import random
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from controlplane.agents.authority import Authority
from hostagent.contract import ExportSpec, ExportStatus, HostError, ImportFile, ImportSpec, ImportStatus, StorageSpec
from hostagent.drivers import peer_pull, peer_wire, sparse
from hostagent.drivers.disks import LocalDisks
from hostagent.drivers.peers import TlsPeers
from hostagent.ensure.export import Exports
from hostagent.ensure.generations import Generations
from hostagent.ensure.storage import Storages
from hostagent.ensure.transfer import Imports
from hostagent.sim.host import MemoryRecords
from tests.hostagent.peer_files import agent_files
from tests.proxy import Proxy
from tools.free_port import free_port

SOURCE, DESTINATION, STRANGER = "a" * 32, "b" * 32, "d" * 32
STORAGE, EXPORT, IMPORT = "5" * 32, "e" * 32, "1" * 32
SECRET = "s" * 64
MIB = 1 << 20
VOLUME, BASE = "rootVolumes/vol/vol.qcow2", "imagecache/template/img/img.qcow2"


class Side:
    """One host's part: its storage below `root`, and an agent process that may begin anew."""

    def __init__(self, uuid: str, root: Path, authority: Authority, port: int) -> None:
        self.uuid, self.root, self.port = uuid, root, port
        self.records = MemoryRecords()
        self._files = agent_files(authority, root.parent / "pki", uuid, "127.0.0.1")
        self.begin()

    def begin(self) -> None:
        """A new agent process: what it remembers is in its records."""
        disks, generations = LocalDisks(), Generations(self.records, ("storage", "import"))
        self.peers = TlsPeers("127.0.0.1", self.port, self._files)
        self.storages = Storages(disks, generations)
        self.exports = Exports(disks, self.peers, self.storages)
        self.imports = Imports(disks, self.peers, self.storages, generations)

    async def end(self) -> None:
        await self.imports.close()
        await self.peers.close()

    def path(self, name: str) -> Path:
        return self.root / name

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file())


class Pair:
    def __init__(self, tmp_path: Path) -> None:
        self.authority = Authority(tmp_path / "authority", [])
        self.source = Side(SOURCE, tmp_path / "source", self.authority, free_port())
        self.destination = Side(DESTINATION, tmp_path / "destination", self.authority, free_port())

    async def export(self, **changed: Any) -> ExportStatus:
        wish = {"storage_uuid": STORAGE, "paths": [VOLUME], "peer_agent_uuid": DESTINATION, "secret": SECRET}
        return await self.source.exports.put(EXPORT, ExportSpec.model_validate({"generation": 1} | wish | changed))

    async def fetch(self, files: list[ImportFile] | None = None, wait: float = 60, **changed: Any) -> ImportStatus:
        wish = {
            "storage_uuid": STORAGE,
            "export_uuid": EXPORT,
            "source_ip": "127.0.0.1",
            "source_port": self.source.port,
            "source_agent_uuid": SOURCE,
            "secret": SECRET,
            "files": files or [ImportFile(path=VOLUME, actual_size=1)],
        }
        spec = ImportSpec.model_validate({"generation": 1} | wish | changed)
        return await self.destination.imports.put(IMPORT, spec, wait)

    def same(self, name: str = VOLUME) -> bool:
        one, other = self.source.path(name), self.destination.path(name)
        sides = (one.stat(), other.stat())
        assert sides[1].st_blocks <= sides[0].st_blocks + 64, "holes were filled"
        assert sides[0].st_mode == sides[1].st_mode
        return one.read_bytes() == other.read_bytes()


@pytest.fixture
async def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pair]:
    monkeypatch.setattr(peer_pull, "PAUSE", 0.05)
    pair = Pair(tmp_path)
    for side in (pair.source, pair.destination):
        await side.storages.put(STORAGE, StorageSpec(generation=1, path=str(side.root)))
    yield pair
    await pair.destination.end()
    await pair.source.end()


def sparse_file(path: Path, size: int, islands: int, seed: int = 0) -> None:
    """Random content in random places, the rest holes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    chance = random.Random(seed)
    with path.open("wb") as file:
        for _ in range(islands):
            file.seek(chance.randrange(size - 300_000) & ~0xFFF)
            file.write(chance.randbytes(chance.randrange(1, 300_000)))
        file.truncate(size)


async def test_a_chain_goes_over_byte_for_byte_and_keeps_its_holes(pair: Pair) -> None:
    base, volume = pair.source.path(BASE), pair.source.path(VOLUME)
    base.parent.mkdir(parents=True)
    volume.parent.mkdir(parents=True)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", base, "64M"], check=True)
    subprocess.run(["qemu-io", "-c", "write -P 7 5M 9M", base], check=True, stdout=subprocess.DEVNULL)
    relative = os.path.relpath(base, volume.parent)
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", relative, volume, "64M"], check=True
    )
    subprocess.run(["qemu-io", "-c", "write -P 9 1M 3M", volume], check=True, stdout=subprocess.DEVNULL)

    exported = await pair.export()
    assert [(file.path, file.is_base, file.backing_path) for file in exported.files] == [
        (VOLUME, False, BASE),
        (BASE, True, None),
    ]
    files = [ImportFile(**file.model_dump(include={"path", "actual_size", "is_base"})) for file in exported.files]
    status = await pair.fetch(files)
    assert (status.state, status.error) == ("ready", "")
    assert status.bytes_done == status.bytes_total == sum(file.actual_size for file in exported.files)
    assert pair.same(VOLUME) and pair.same(BASE)
    assert pair.destination.files() == [BASE, VOLUME]
    subprocess.run(["qemu-img", "compare", "-q", volume, pair.destination.path(VOLUME)], check=True)

    await pair.destination.imports.delete(IMPORT, keep=False)
    assert pair.destination.files() == [BASE], "a whole base image stays, others may rest on it"


@pytest.mark.parametrize(("size", "islands"), [(1, 0), (3 * sparse.WINDOW, 0), (50 * MIB + 17, 40), (9 * MIB, 400)])
async def test_any_file(pair: Pair, size: int, islands: int) -> None:
    path = pair.source.path(VOLUME)
    if islands:
        sparse_file(path, size, islands)
    else:
        path.parent.mkdir(parents=True)
        with path.open("wb") as file:
            file.truncate(size)
    await pair.export()
    assert (await pair.fetch()).state == "ready"
    assert pair.same()


async def test_repeated_forgotten_and_absent_are_harmless(pair: Pair) -> None:
    sparse_file(pair.source.path(VOLUME), 9 * MIB, 9)
    for _ in range(2):
        await pair.export()
        assert (await pair.fetch()).state == "ready"
    await pair.destination.imports.delete(IMPORT, keep=True)
    await pair.destination.imports.delete(IMPORT, keep=False)
    assert pair.same(), "what was kept is no import's any more"
    await pair.source.exports.delete(EXPORT)
    await pair.source.exports.delete(EXPORT)
    assert (await pair.destination.imports.get(IMPORT)).state == "absent"


async def test_what_lies_at_the_place_is_never_taken_for_the_copy(pair: Pair) -> None:
    sparse_file(pair.source.path(VOLUME), 9 * MIB, 20)
    sparse_file(pair.destination.path(VOLUME), 9 * MIB, 20, seed=1)
    await pair.export()
    assert (await pair.fetch()).state == "ready"
    assert pair.same()


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


# -- trust -------------------------------------------------------------------------------------------------------


async def test_only_the_named_peer_with_the_secret_is_let_in(pair: Pair, tmp_path: Path) -> None:
    sparse_file(pair.source.path(VOLUME), 9 * MIB, 9)
    await pair.export()
    refused = await pair.fetch(secret="x" * 64)
    assert refused.error == "unreachable: the source serves no such export now"
    await pair.export(peer_agent_uuid=STRANGER)
    refused = await pair.fetch()
    assert refused.error == "unreachable: the source serves no such export now"

    elsewhere = Authority(tmp_path / "elsewhere", [])
    control = ssl.create_default_context(cadata=pair.authority.agent_ca)
    control.load_cert_chain(*(tmp_path / "authority" / name for name in ("client.pem", "client.key")))
    without = ssl.create_default_context(cadata=pair.authority.agent_ca)
    foreign = ssl.create_default_context(cadata=pair.authority.agent_ca)
    foreign.load_cert_chain(*agent_files(elsewhere, tmp_path / "foreign", DESTINATION, "127.0.0.1")[:2])
    for context in (control, without, foreign):
        with pytest.raises(OSError):
            await asyncio.to_thread(_hello, context, pair.source.port)


def _hello(context: ssl.SSLContext, port: int) -> None:
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        peer_wire.send(connection, {"export": EXPORT, "secret": SECRET})
        peer_wire.receive(connection)


async def test_only_exported_files_and_only_for_a_while(pair: Pair) -> None:
    sparse_file(pair.source.path(VOLUME), 9 * MIB, 9)
    other = "rootVolumes/other/other.qcow2"
    sparse_file(pair.source.path(other), 9 * MIB, 9)
    await pair.export()
    refused = await pair.fetch([ImportFile(path=other)])
    assert refused.error == "not_found: the export has no such file"
    await pair.destination.imports.delete(IMPORT, keep=False)
    with pytest.raises(HostError, match="must be relative"):
        await pair.export(paths=["../../etc/shadow"])

    await pair.source.exports.delete(EXPORT)
    refused = await pair.fetch()
    assert refused.error.startswith("unreachable: ")
    await pair.export(expires_in=1)
    await asyncio.sleep(1.8)
    refused = await pair.fetch()
    assert refused.error.startswith("unreachable: ")


async def test_the_import_checks_who_the_source_is(pair: Pair) -> None:
    sparse_file(pair.source.path(VOLUME), 9 * MIB, 9)
    await pair.export()
    refused = await pair.fetch(source_agent_uuid=STRANGER)
    assert "another host agent" in refused.error


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
