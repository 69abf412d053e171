"""Images, volumes and storages on a real file system, fetched from a real HTTPS server that may misbehave."""

import asyncio
import hashlib
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from controlplane.agents.authority import Authority
from hostagent.contract import HostError, ImageSpec, StorageSpec, VolumeSpec
from hostagent.drivers.disks import LocalDisks
from hostagent.drivers.downloads import HttpDownloads
from hostagent.drivers.files import FileRecords
from hostagent.ensure.agent import KINDS
from hostagent.ensure.generations import Generations
from hostagent.ensure.image import Images, image_path
from hostagent.ensure.storage import Storages
from hostagent.ensure.volume import Volumes
from hostagent.sim.disks import SimDisks
from hostagent.sim.hypervisor import SimHypervisor
from tests.hostagent import specs
from tests.hostagent.specs import IMAGE, STORAGE, VOLUME

MIB = 1 << 20
TOKEN = "a-secret-token"


class Source:
    """An image server: ranges work, and the first `breaks` answers end after a third of what was asked for."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.breaks = 0
        self.status = 200
        self.ranges = True
        self.requests: list[str] = []
        self.hold = asyncio.Event()
        self.hold.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.requests.append(head)
            await self.hold.wait()
            if self.status != 200 or f"Bearer {TOKEN}" not in head:
                writer.write(
                    f"HTTP/1.1 {self.status if self.status != 200 else 401} No\r\ncontent-length: 0\r\n\r\n".encode()
                )
                return
            wanted = re.search(r"[Rr]ange: bytes=(\d+)-", head)
            start = int(wanted[1]) if wanted and self.ranges else 0
            body = self.content[start:]
            status = "206 Partial Content" if start else "200 OK"
            writer.write(f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n".encode())
            if self.breaks:
                self.breaks -= 1
                body = body[: len(body) // 3]
            writer.write(body)
            await writer.drain()


class Stores:
    def __init__(self, directory: Path, context: ssl.SSLContext) -> None:
        disks = LocalDisks()
        generations = Generations(FileRecords(directory / "records"), KINDS)
        self.storage = Storages(disks, generations)
        self.image = Images(disks, HttpDownloads(context), self.storage, generations)
        self.volume = Volumes(disks, SimHypervisor(SimDisks(0), lambda _bridge: True), self.storage, generations)
        self.path = directory / "ps"

    async def open(self) -> "Stores":
        await self.storage.put(STORAGE, StorageSpec(generation=1, path=str(self.path)))
        return self

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.path)) for path in self.path.rglob("*") if path.is_file())


@pytest.fixture(scope="session")
def qcow2(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("image") / "image.qcow2"
    raw = path.with_suffix(".raw")
    raw.write_bytes(bytes(range(256)) * 16384)
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, path], check=True)
    return path.read_bytes()


@pytest.fixture
async def source(tmp_path: Path, qcow2: bytes) -> AsyncIterator[tuple[Source, str, ssl.SSLContext]]:
    authority = Authority(tmp_path / "authority", ["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.server_files)
    source = Source(qcow2)
    server = await asyncio.start_server(source.serve, sock=socket.create_server(("127.0.0.1", 0)), ssl=context)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/image"
    yield source, url, ssl.create_default_context(cadata=authority.control_ca)
    source.hold.set()
    server.close()


@pytest.fixture
async def stores(tmp_path: Path, source: tuple[Source, str, ssl.SSLContext]) -> AsyncIterator[Stores]:
    stores = await Stores(tmp_path, source[2]).open()
    yield stores
    await stores.image.close()


def wish(url: str, content: bytes, **changes: object) -> ImageSpec:
    digest = hashlib.sha256(content).hexdigest()
    changes = {"url": url, "bearer_token": TOKEN, "sha256": digest, "size": len(content)} | changes
    return ImageSpec.model_validate(specs.image(**changes))


async def test_an_image_is_fetched_once_and_volumes_rest_on_it(
    source: tuple[Source, str, ssl.SSLContext], stores: Stores
) -> None:
    server, url, _ = source
    spec = wish(url, server.content)
    server.hold.clear()
    first = await stores.image.put(IMAGE, spec, wait=0)
    assert (first.state, first.bytes_total) == ("downloading", len(server.content))
    callers = [asyncio.create_task(stores.image.put(IMAGE, spec)) for _ in range(5)]
    await asyncio.sleep(0.1)
    server.hold.set()
    assert {status.state for status in await asyncio.gather(*callers)} == {"ready"}
    assert len(server.requests) == 1
    cached = Path(image_path(str(stores.path), IMAGE, "qcow2"))
    assert cached.read_bytes() == server.content

    status = await stores.volume.put(VOLUME, VolumeSpec.model_validate(specs.volume(base_image_uuid=IMAGE, size=0)))
    assert status.size == 4 * MIB
    moved = stores.path.rename(stores.path.with_name("elsewhere"))  # the backing name is relative
    listing = subprocess.run(
        ["qemu-img", "info", "--backing-chain", moved / status.path], check=True, capture_output=True, text=True
    ).stdout
    assert "elsewhere/volumes/../imagecache" in listing
    moved.rename(stores.path)

    grown = VolumeSpec.model_validate(specs.volume(base_image_uuid=IMAGE, size=8 * MIB, generation=2))
    assert (await stores.volume.put(VOLUME, grown)).size == 8 * MIB
    assert (await stores.volume.put(VOLUME, grown)).size == 8 * MIB
    for size in (1 * MIB, 5 * MIB):
        with pytest.raises(HostError, match="size"):
            await stores.volume.put(VOLUME, grown.model_copy(update={"size": size, "generation": 3}))
    with pytest.raises(HostError) as refused:
        await stores.image.delete(IMAGE, STORAGE)
    assert refused.value.problem.code == "in_use"
    for _ in range(2):
        await stores.volume.delete(VOLUME, STORAGE, status.path)
        await stores.image.delete(IMAGE, STORAGE)
    assert list(stores.path.iterdir()) == []


async def test_a_storage_that_is_left_keeps_only_what_volumes_need(
    source: tuple[Source, str, ssl.SSLContext], stores: Stores
) -> None:
    server, url, _ = source
    other = "7e" * 16
    for uuid in (IMAGE, other):
        await stores.image.put(uuid, wish(url, server.content))
    await stores.volume.put(VOLUME, VolumeSpec.model_validate(specs.volume(base_image_uuid=IMAGE, size=0)))
    await stores.image.leave(STORAGE)
    assert (await stores.image.get(IMAGE, STORAGE)).state == "ready"
    assert (await stores.image.get(other, STORAGE)).state == "absent"
    assert not Path(image_path(str(stores.path), other, "qcow2")).exists()


async def test_a_broken_download_goes_on_where_it_stopped(
    source: tuple[Source, str, ssl.SSLContext], stores: Stores
) -> None:
    server, url, _ = source
    server.breaks = 2
    assert (await stores.image.put(IMAGE, wish(url, server.content))).state == "ready"
    ranges = [re.search(r"[Rr]ange: bytes=(\d+)-", head) for head in server.requests]
    assert [int(found[1]) if found else 0 for found in ranges][1] > 0
    assert len(ranges) == 3


async def test_a_server_without_ranges_is_asked_from_the_start(
    source: tuple[Source, str, ssl.SSLContext], stores: Stores
) -> None:
    server, url, _ = source
    server.breaks, server.ranges = 1, False
    assert (await stores.image.put(IMAGE, wish(url, server.content))).state == "ready"


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"sha256": "0" * 64}, 200, "checksum_mismatch"),
        ({"size": 1000}, 200, "checksum_mismatch"),
        ({"bearer_token": "wrong"}, 200, "not_found"),
        ({}, 404, "not_found"),
        ({"format": "iso"}, 200, "bad_image"),
    ],
)
async def test_what_is_wrong_is_told_and_nothing_is_left(
    source: tuple[Source, str, ssl.SSLContext],
    stores: Stores,
    changes: dict[str, object],
    status: int,
    code: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    server, url, _ = source
    server.status = status
    answer = await stores.image.put(IMAGE, wish(url, server.content, **changes))
    assert (answer.state, answer.error.split(":")[0]) == ("failed", code)
    await stores.image.delete(IMAGE, STORAGE)
    assert stores.files() == []
    assert (await stores.image.get(IMAGE, STORAGE)).state == "absent"
    output = capfd.readouterr()
    assert TOKEN not in answer.error + output.out + output.err


async def test_an_unreachable_source_may_be_tried_again(
    source: tuple[Source, str, ssl.SSLContext], stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, url, _ = source
    monkeypatch.setattr("hostagent.drivers.downloads.PAUSE", 0.01)
    server.status = 503
    answer = await stores.image.put(IMAGE, wish(url, server.content))
    assert answer.error.startswith("unreachable")
    server.status = 200
    assert (await stores.image.put(IMAGE, wish(url, server.content))).state == "ready"


async def test_an_unknown_certificate_is_not_trusted(
    source: tuple[Source, str, ssl.SSLContext], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, url, _ = source
    monkeypatch.setattr("hostagent.drivers.downloads.PAUSE", 0.01)
    stores = await Stores(tmp_path, ssl.create_default_context()).open()
    assert (await stores.image.put(IMAGE, wish(url, server.content))).error.startswith("unreachable")
    assert server.requests == []


async def test_raw_becomes_qcow2_and_a_hidden_backing_file_is_refused(
    source: tuple[Source, str, ssl.SSLContext], stores: Stores, tmp_path: Path
) -> None:
    server, url, _ = source
    server.content = b"raw" * MIB
    answer = await stores.image.put(IMAGE, wish(url, server.content, format="raw"))
    assert answer.state == "ready"
    assert stores.files() == [f"imagecache/template/{IMAGE}/{IMAGE}.qcow2"]
    assert Path(answer.path).read_bytes()[:4] == b"QFI\xfb"

    spy = tmp_path / "spy.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", "/etc/hostname", spy], check=True)
    server.content = spy.read_bytes()
    answer = await stores.image.put("9" * 32, wish(url, server.content))
    assert answer.error.startswith("bad_image")
    server.content = b"no qcow2 at all" * 1000
    answer = await stores.image.put("9" * 32, wish(url, server.content))
    assert answer.error.startswith("bad_image")


async def test_an_agent_that_restarts_finds_its_images(
    source: tuple[Source, str, ssl.SSLContext], stores: Stores, tmp_path: Path
) -> None:
    server, url, context = source
    await stores.image.put(IMAGE, wish(url, server.content))
    again = Stores(tmp_path, context)
    assert (await again.image.get(IMAGE, STORAGE)).state == "ready"
    assert (await again.image.put(IMAGE, wish(url, server.content))).state == "ready"
    assert len(server.requests) == 1


async def test_what_the_disks_of_a_storage_take(stores: Stores) -> None:
    path = specs.volume()["path"]
    assert (await stores.storage.usage(STORAGE)).allocated == {}
    made = await stores.volume.put(VOLUME, VolumeSpec.model_validate(specs.volume(size=8 << 20)))
    assert (await stores.storage.usage(STORAGE)).allocated == {path: made.actual_size}
    whole = subprocess.run(["qemu-io", "-c", "write 0 4M", stores.path / path], capture_output=True)
    assert whole.returncode == 0, whole
    (stores.path / "imagecache").mkdir(exist_ok=True)
    (stores.path / "imagecache" / "x.qcow2").write_bytes(bytes(4096))
    found = (await stores.storage.usage(STORAGE)).allocated
    seen = await stores.volume.get(VOLUME, STORAGE, path)
    assert seen is not None and found == {path: seen.actual_size} and found[path] >= made.actual_size + (4 << 20)


async def test_a_symlink_does_not_lead_out_of_a_storage(stores: Stores, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (stores.path / "link").symlink_to(outside)
    with pytest.raises(HostError, match="stay within"):
        await stores.volume.put(VOLUME, VolumeSpec.model_validate(specs.volume(path="link/v.qcow2")))
    assert list(outside.iterdir()) == []


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of two MiB."""
    path = tmp_path / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "steppe-test", path], check=True)
    yield path
    subprocess.run(["umount", path], check=True)
    shutil.rmtree(path)


@pytest.mark.host
async def test_a_full_disk_is_said_and_leaves_nothing(
    source: tuple[Source, str, ssl.SSLContext], tmp_path: Path, small: Path
) -> None:
    server, url, context = source
    stores = Stores(tmp_path, context)
    stores.path = small / "ps"
    await stores.open()
    answer = await stores.image.put(IMAGE, wish(url, server.content))
    assert answer.error.startswith("no_space")
    assert stores.files() == []
    (small / "filler").write_bytes(b"x" * (2 * MIB - 16384))
    with pytest.raises(HostError) as refused:
        await stores.volume.put(VOLUME, VolumeSpec.model_validate(specs.volume()))
    assert refused.value.problem.code == "no_space"
    assert stores.files() == []
    assert (await stores.storage.get(STORAGE)).available_bytes < MIB


async def test_a_storage_that_cannot_be(tmp_path: Path, stores: Stores) -> None:
    (tmp_path / "file").write_text("")
    for path, code in (
        (str(tmp_path / "file"), "storage_path"),
        ("/proc/steppe", "storage_path"),
        ("/", "invalid_spec"),
    ):
        with pytest.raises(HostError) as refused:
            await stores.storage.put("8" * 32, StorageSpec(generation=1, path=path))
        assert refused.value.problem.code == code
