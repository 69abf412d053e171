"""A chain of real qcow2 files on its way into an image store, over TLS."""

import asyncio
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controlplane.agents.authority import Authority
from hostagent.contract import HostError, StorageSpec, UploadSpec, VolumeSpec
from hostagent.drivers.disks import LocalDisks
from hostagent.drivers.files import FileRecords
from hostagent.drivers.uploads import HttpUploads
from hostagent.ensure.agent import KINDS
from hostagent.ensure.generations import Generations
from hostagent.ensure.storage import Storages
from hostagent.ensure.upload import VolumeUploads
from hostagent.ensure.volume import Volumes
from hostagent.sim.disks import SimDisks
from hostagent.sim.hypervisor import SimHypervisor
from tests.hostagent import specs
from tests.hostagent.specs import IMAGE, STORAGE, VOLUME

MIB = 1 << 20
TOKEN = "t0ken"


class Store:
    """Receives PUTs; answers `status`."""

    def __init__(self) -> None:
        self.status, self.heads, self.body = 200, [], b""
        self.heads: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        length = next(line for line in head.lower().splitlines() if line.startswith("content-length"))
        self.body = await reader.readexactly(int(length.split(":")[1]))
        writer.write(f"HTTP/1.1 {self.status} x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}".encode())
        await writer.drain()
        writer.close()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[tuple[Store, str, ssl.SSLContext]]:
    authority = Authority(tmp_path / "authority", ["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.server_files)
    store = Store()
    server = await asyncio.start_server(store.serve, sock=socket.create_server(("127.0.0.1", 0)), ssl=context)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/image-files/{IMAGE}"
    yield store, url, ssl.create_default_context(cadata=authority.control_ca)
    server.close()


async def test_a_chain_arrives_flat(
    tmp_path: Path, store: tuple[Store, str, ssl.SSLContext], capfd: pytest.CaptureFixture[str]
) -> None:
    receiver, url, context = store
    disks, generations = LocalDisks(), Generations(FileRecords(tmp_path / "records"), KINDS)
    storages = Storages(disks, generations)
    root = tmp_path / "ps"
    await storages.put(STORAGE, StorageSpec(generation=1, path=str(root)))
    volumes = Volumes(disks, SimHypervisor(SimDisks(0), lambda _bridge: True), storages, generations)
    uploads = VolumeUploads(disks, HttpUploads(context), storages)
    for name, below, offset in (("one", [], 1), ("two", ["one"], 5)):
        paths = [f"v/{lower}.qcow2" for lower in below]
        spec = specs.volume(generation=offset, path=f"v/{name}.qcow2", size=16 * MIB, below=paths)
        await volumes.put(VOLUME, VolumeSpec.model_validate(spec))
        write = f"write -P {offset} {offset}M 1M"
        subprocess.run(["qemu-io", "-c", write, root / f"v/{name}.qcow2"], check=True, stdout=subprocess.DEVNULL)
    spec = UploadSpec(generation=1, storage_uuid=STORAGE, path="v/two.qcow2", url=url, bearer_token=TOKEN)
    status = await uploads.put(IMAGE, spec)
    assert (status.state, status.bytes_done) == ("done", len(receiver.body))
    assert f"Bearer {TOKEN}" in receiver.heads[0]
    await uploads.put(IMAGE, spec.model_copy(update={"bearer_token": "another"}))
    assert len(receiver.heads) == 1, "done is done"
    flat = tmp_path / "flat.qcow2"
    flat.write_bytes(receiver.body)
    compared = subprocess.run(["qemu-img", "compare", flat, root / "v/two.qcow2"], capture_output=True, text=True)
    assert "identical" in compared.stdout
    info = subprocess.run(["qemu-img", "info", flat], capture_output=True, text=True).stdout
    assert "backing file" not in info
    assert sorted(path.name for path in root.iterdir()) == ["v"], "no copy stays"

    await uploads.delete(IMAGE)
    for code, told in ((403, "invalid_spec"), (502, "unreachable")):
        receiver.status = code
        status = await uploads.put(IMAGE, spec)
        assert (status.state, status.error.split(":")[0]) == ("failed", told)
    with pytest.raises(HostError, match="no file"):
        await uploads.put(IMAGE, spec.model_copy(update={"path": "v/none.qcow2"}))
    output = capfd.readouterr()
    assert TOKEN not in status.error + output.out + output.err
