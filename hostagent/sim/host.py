"""A simulated host: what exists on it, its failures, and what happens to it from outside."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

from hostagent.contract.vm import VmState
from hostagent.ensure.agent import Agent, Ports
from hostagent.ports.machine import MachineFacts
from hostagent.sim.disks import SimDisks, SimDownloads, SimUploads
from hostagent.sim.faults import Faults
from hostagent.sim.hypervisor import SimHypervisor
from hostagent.sim.network import SimNetwork
from hostagent.sim.peers import SimPeers

GIB = 1 << 30


class MemoryRecords:
    """Remembers as long as the process lives. Documents go through JSON, as they would on disk."""

    def __init__(self) -> None:
        self._documents: dict[str, dict[str, str]] = {}

    def all(self, kind: str) -> dict[str, dict[str, Any]]:
        return {key: json.loads(text) for key, text in self._documents.get(kind, {}).items()}

    def put(self, kind: str, key: str, document: dict[str, Any]) -> None:
        self._documents.setdefault(kind, {})[key] = json.dumps(document)

    def delete(self, kind: str, key: str) -> None:
        self._documents.get(kind, {}).pop(key, None)


@dataclass(frozen=True)
class SimMachine:
    hostname: str
    cpu_num: int
    memory_bytes: int

    def facts(self) -> MachineFacts:
        return MachineFacts(self.hostname, self.cpu_num, "Simulated CPU", self.memory_bytes, simulated=True)


class SimHost(Faults):
    """Handles for tests; `Faults` has `fail`, `delay`, `lose_reply`, `heal`."""

    def __init__(
        self,
        name: str,
        *,
        cpu_num: int = 64,
        memory_bytes: int = 256 * GIB,
        storage_bytes: int = 4096 * GIB,
        interfaces: tuple[str, ...] = ("eth0", "eth1", "eth2", "eth3"),
        vlan: bool = True,
    ) -> None:
        super().__init__()
        self.name = name
        self.disks = SimDisks(storage_bytes)
        self.network = SimNetwork(interfaces, vlan)
        self.hypervisor = SimHypervisor(self.disks, self.network.has_bridge)
        self.network.boots = self.hypervisor.boots
        self.uploads = SimUploads(self.disks)
        self.records = MemoryRecords()
        self.peers = SimPeers("", self.disks, self.hypervisor)  # of the agent that runs
        self._machine = SimMachine(name, cpu_num, memory_bytes)

    def ports(self, agent_uuid: str) -> Ports:
        self.peers = SimPeers(agent_uuid, self.disks, self.hypervisor)
        return Ports(
            machine=self._machine,
            hypervisor=self.stand_before(self.hypervisor, "hypervisor"),
            disks=self.stand_before(self.disks, "disks"),
            downloads=self.stand_before(SimDownloads(self.disks), "downloads"),
            peers=self.stand_before(self.peers, "peers"),
            uploads=self.stand_before(self.uploads, "uploads"),
            network=self.stand_before(self.network, "links"),
            records=self.records,
        )

    def boot_agent(self, uuid: str) -> Agent:
        """A fresh agent process on this host: it remembers what is in the records and finds what exists."""
        agent = Agent(uuid, self.ports(uuid))
        resources: tuple[str, ...] = (
            "host",
            "storage",
            "image",
            "volume",
            "exports",
            "imports",
            "upload",
            "vm",
            "network",
            "events",
        )
        resources += ("arrivals", "departures")
        for resource in resources:
            setattr(agent, resource, self.stand_before(getattr(agent, resource), resource))
        return agent

    def snapshot(self) -> dict[str, Any]:
        """Everything that exists on the host, comparable with ==; generations and boot tokens are not things."""
        return {
            "storages": {uuid: known["path"] for uuid, known in self.records.all("storage").items()},
            "images": {p: i.size for p, i in sorted(self.disks.files.items()) if "/imagecache/" in p},
            "volumes": {
                path: {"size": info.size, "backing": info.backing}
                for path, info in sorted(self.disks.files.items())
                if "/imagecache/" not in path
            },
            "exports": sorted(self.peers.exports),
            "imports": sorted(self.records.all("import")),
            "vms": {
                uuid: {
                    "state": domain.state.value,
                    "name": domain.defined.name,
                    "cpu_num": domain.defined.cpu_num,
                    "memory_bytes": domain.defined.memory_bytes,
                    "disks": [disk.path for disk in domain.defined.disks],
                    "plugged": [disk.path for disk in domain.running.disks] if domain.running else [],
                    "cds": list(domain.defined.cds),
                    "inserted": [cd for cd in domain.running.cds if cd] if domain.running else [],
                    "nics": [nic.model_dump() for nic in domain.defined.nics],
                    "boot_order": list(domain.defined.boot_order),
                }
                for uuid, domain in sorted(self.hypervisor.domains.items())
            },
            "network": self.network.snapshot.model_dump(mode="json", exclude={"generation"}),
        }

    def guest_shuts_down(self, vm_uuid: str) -> None:
        self.hypervisor.happen(vm_uuid, VmState.stopped, "shutdown")

    def guest_reboots(self, vm_uuid: str) -> None:
        self.hypervisor.happen(vm_uuid, VmState.running, "reboot")

    def guest_crashes(self, vm_uuid: str) -> None:
        self.hypervisor.happen(vm_uuid, VmState.crashed, "failed")

    def power_cut(self) -> None:
        """Every guest is off; definitions and disks stay, as on a real host."""
        for uuid, domain in self.hypervisor.domains.items():
            if domain.running is not None:
                self.hypervisor.happen(uuid, VmState.stopped, "destroyed")


def agent(name: str, *, uuid: str | None = None, **capacity: Any) -> tuple[Agent, SimHost]:
    """A simulated host and its agent. `capacity`: cpu_num, memory_bytes, storage_bytes, interfaces, vlan.

    `await agent.open()` begins to report events; `create_app` does it at start-up.
    """
    host = SimHost(name, **capacity)
    return host.boot_agent(uuid or uuid5(NAMESPACE_DNS, name).hex), host
