"""Two host agents' parts that copy files, joined by real mutual TLS."""

import random
from pathlib import Path
from typing import Any

from controlplane.agents.authority import Authority
from hostagent.contract import ExportSpec, ExportStatus, ImportFile, ImportSpec, ImportStatus
from hostagent.drivers.disks import LocalDisks
from hostagent.drivers.peers import TlsPeers
from hostagent.ensure.export import Exports
from hostagent.ensure.generations import Generations
from hostagent.ensure.storage import Storages
from hostagent.ensure.transfer import Imports
from hostagent.sim.host import MemoryRecords
from tests.hostagent.peer_files import agent_files
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


def sparse_file(path: Path, size: int, islands: int, seed: int = 0) -> None:
    """Random content in random places, the rest holes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    chance = random.Random(seed)
    with path.open("wb") as file:
        for _ in range(islands):
            file.seek(chance.randrange(size - 300_000) & ~0xFFF)
            file.write(chance.randbytes(chance.randrange(1, 300_000)))
        file.truncate(size)
