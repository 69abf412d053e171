"""Copies between simulated hosts of one process: a file's size and backing, or a running domain, goes over in one step."""

from hostagent.contract.error import temporary
from hostagent.ports.disks import DiskInfo
from hostagent.ports.peers import Gauge, Grant, Source
from hostagent.sim.disks import SimDisks
from hostagent.sim.hypervisor import SimHypervisor

PORT = 7071
_served: dict[tuple[str, str], tuple[Grant, "SimPeers"]] = {}  # by host agent and export: who serves what


class SimPeers:
    def __init__(self, agent_uuid: str, disks: SimDisks, hypervisor: SimHypervisor | None = None) -> None:
        self._agent_uuid = agent_uuid
        self._disks = disks
        self._hypervisor = hypervisor or SimHypervisor(disks, lambda _: False)
        self.exports: set[str] = set()

    async def serve(self, grant: Grant) -> int:
        _served[self._agent_uuid, grant.uuid] = grant, self
        self.exports.add(grant.uuid)
        return PORT

    async def revoke(self, uuid: str) -> None:
        _served.pop((self._agent_uuid, uuid), None)
        self.exports.discard(uuid)

    async def pull(self, source: Source, name: str, part: str, gauge: Gauge) -> None:
        grant, peer = self._admitted(source)
        found = peer._disks.files[grant.paths[name]]
        self._disks.drop(part)
        self._disks.store(part, DiskInfo(found.size, found.actual_size, found.backing))
        gauge.done = gauge.total

    async def open_tunnel(self, source: Source, directory: str) -> None:
        _, peer = self._admitted(source)
        self._hypervisor.tunnels[directory] = peer._hypervisor

    async def close_tunnel(self, directory: str) -> str:
        self._hypervisor.tunnels.pop(directory, None)
        return ""

    def _admitted(self, source: Source) -> tuple[Grant, "SimPeers"]:
        grant, peer = _served.get((source.agent_uuid, source.export_uuid), (None, None))
        if grant is None or peer is None or grant.secret != source.secret or grant.peer_agent_uuid != self._agent_uuid:
            raise temporary("unreachable", "the source serves no such export now")
        return grant, peer

    async def close(self) -> None:
        for uuid in list(self.exports):
            await self.revoke(uuid)
