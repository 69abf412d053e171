"""The agent: everything the API offers, assembled over ports. Whoever chooses the ports chooses real or simulated."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from hostagent.contract import HostError, NetworkStatus, SnapshotSpec
from hostagent.ensure.events import EventLog
from hostagent.ensure.export import Exports
from hostagent.ensure.generations import Generations
from hostagent.ensure.host import Host
from hostagent.ensure.image import Images
from hostagent.ensure.locks import Locks
from hostagent.ensure.migration import Arrivals, Departures
from hostagent.ensure.storage import Storages
from hostagent.ensure.transfer import Imports
from hostagent.ensure.upload import VolumeUploads
from hostagent.ensure.vm import Vms
from hostagent.ensure.volume import Volumes
from hostagent.ports.disks import Disks, Downloads, Uploads
from hostagent.ports.hypervisor import Hypervisor
from hostagent.ports.machine import Machine
from hostagent.ports.network import NetworkPort
from hostagent.ports.peers import Peers
from hostagent.ports.records import Records

log = structlog.get_logger("hostagent")
KINDS = ("storage", "image", "volume", "import", "vm", "network")


@dataclass(frozen=True)
class Ports:
    machine: Machine
    hypervisor: Hypervisor
    disks: Disks
    downloads: Downloads
    peers: Peers
    uploads: Uploads
    network: NetworkPort
    records: Records
    migration_directory: str = "/var/lib/libvirt/qemu/steppe"
    libvirt_socket: str = "/run/libvirt/libvirt-sock"


class Network:
    """The snapshot of the host's network: one at a time, never an older one."""

    def __init__(self, network: NetworkPort, generations: Generations) -> None:
        self._network = network
        self._generations = generations
        self._locks = Locks()

    async def put(self, snapshot: SnapshotSpec) -> NetworkStatus:
        async with self._locks.hold("network"):
            self._generations.accept("network", "host", snapshot.generation)
            return await self._network.apply(snapshot)

    async def get(self) -> NetworkStatus:
        return await self._network.status()


class Agent:
    """`open` begins to watch the hypervisor; `close` stops watching and leaves every guest as it is."""

    host: Host
    storage: Storages
    image: Images
    volume: Volumes
    exports: Exports
    imports: Imports
    upload: VolumeUploads
    vm: Vms
    network: Network
    events: EventLog
    arrivals: Arrivals
    departures: Departures

    def __init__(self, uuid: str, ports: Ports) -> None:
        self.uuid = uuid
        self.generations = Generations(ports.records, KINDS)
        self.events = EventLog()
        self.host = Host(uuid, self.events.boot_id, ports.machine, ports.hypervisor, ports.network)
        self.storage = Storages(ports.disks, self.generations)
        self.image = Images(ports.disks, ports.downloads, self.storage, self.generations)
        self.volume = Volumes(ports.disks, ports.hypervisor, self.storage, self.generations)
        self.exports = Exports(ports.disks, ports.peers, self.storage)
        self.imports = Imports(ports.disks, ports.peers, self.storage, self.generations)
        self._peers = ports.peers
        self.upload = VolumeUploads(ports.disks, ports.uploads, self.storage)
        self.vm = Vms(ports.hypervisor, self.storage, self.generations, self.events)
        self.arrivals = Arrivals(
            self.vm, ports.hypervisor, ports.peers, ports.migration_directory, ports.libvirt_socket
        )
        self.departures = Departures(self.vm, ports.hypervisor, ports.peers, self.generations)
        self.network = Network(ports.network, self.generations)

    async def open(self) -> None:
        await self.vm.open()
        try:
            await self.network.get()  # guests that run already want their DHCP and metadata now, not at the next PUT
        except HostError as error:
            log.warning("the network services are not up", **error.problem.model_dump(mode="json"))

    async def close(self) -> None:
        await self.image.close()
        await self.imports.close()
        await self.departures.close()
        await self._peers.close()
        await self.upload.close()
        await self.vm.close()
