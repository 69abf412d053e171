"""The state of the service process: the snapshot that is served, one endpoint for each of its networks, the counts.

A snapshot is checked and built whole before anything changes, then kept on disk, then served. A network whose links do
not stand is reported and left out; the others are served. An older generation is refused.
"""

import asyncio
import logging
import os
import secrets
from collections import Counter
from pathlib import Path

from hostagent.contract import HostError, NetworkSpec, NetworkStatus, SnapshotSpec
from hostagent.contract.error import broken, rejected
from hostagent.dhcp import Responder
from hostagent.metadata import Directory, Tokens
from hostagent.netservice.endpoint import Counts, Endpoint, place

SNAPSHOT, KEY = "snapshot.json", "token.key"

log = logging.getLogger(__name__)


class Service:
    """`directory` is the process's own, mode 0700."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._snapshot = SnapshotSpec(generation=-1)
        self._endpoints: dict[str, Endpoint] = {}
        self._responders: dict[str, tuple[NetworkSpec, Responder]] = {}
        self._counts = Counts(Counter(), Counter(), Counter())
        self._tokens = Tokens(_key(directory / KEY))
        self._lock = asyncio.Lock()

    def status(self) -> NetworkStatus:
        return NetworkStatus(
            generation=self._snapshot.generation,
            dhcp_acks=dict(self._counts.acks),
            metadata_reads=dict(self._counts.reads),
            phone_homes=dict(self._counts.homes),
        )

    async def restore(self) -> None:
        """Serve what was served last, as far as its links stand. Never raises for a bad file: the agent will send anew."""
        try:
            snapshot = SnapshotSpec.model_validate_json(
                await asyncio.to_thread((self._directory / SNAPSHOT).read_bytes)
            )
            await self.apply(snapshot)
        except FileNotFoundError:
            log.info("no snapshot yet")
        except (HostError, OSError, ValueError) as error:
            log.warning("the kept snapshot is not served whole: %s", error)

    async def apply(self, snapshot: SnapshotSpec) -> None:
        """Raises: stale_generation, invalid_spec (nothing changed); internal (a network is left out)."""
        async with self._lock:
            if snapshot.generation < self._snapshot.generation:
                raise rejected(
                    "stale_generation",
                    f"the network is at generation {self._snapshot.generation}; {snapshot.generation} is older",
                )
            networks = [network for network in snapshot.networks if network.service_ip]
            responders, directory = await asyncio.to_thread(self._build, networks, snapshot)
            await asyncio.to_thread(write_private, self._directory / SNAPSHOT, snapshot.model_dump_json().encode())
            self._snapshot, self._responders = snapshot, responders
            problems = [problem for network in networks if (problem := await self._serve(network, directory))]
            for gone in set(self._endpoints) - set(responders):
                self._endpoints.pop(gone).close()
            self._forget_counts()
        if problems:
            raise problems[0]

    async def withdraw(self, snapshot: SnapshotSpec) -> None:
        """Before the guard lets a new owner use an address: its old owner's data is served there no more. An older
        snapshot changes nothing."""
        async with self._lock:
            if snapshot.generation < self._snapshot.generation:
                return
            owners = {
                network.l3_uuid: {port.ip: port.vm_uuid for port in network.ports} for network in snapshot.networks
            }
            for uuid, endpoint in self._endpoints.items():
                endpoint.keep(owners.get(uuid, {}))

    async def close(self) -> None:
        for endpoint in self._endpoints.values():
            endpoint.close()
        self._endpoints.clear()

    def _build(
        self, networks: list[NetworkSpec], snapshot: SnapshotSpec
    ) -> tuple[dict[str, tuple[NetworkSpec, Responder]], Directory]:
        """Responders of unchanged networks are kept: most snapshots change one NIC of one network."""
        built = {}
        for network in networks:
            known = self._responders.get(network.l3_uuid)
            built[network.l3_uuid] = known if known and known[0] == network else (network, Responder(network))
        return built, Directory(snapshot)

    async def _serve(self, network: NetworkSpec, directory: Directory) -> HostError | None:
        uuid = network.l3_uuid
        responder = self._responders[uuid][1]
        guests = directory.guests.get(uuid, {})
        here = await asyncio.to_thread(place, network)
        endpoint = self._endpoints.get(uuid)
        if endpoint is not None and endpoint.place == here:
            endpoint.replace(network, responder, guests)
            return None
        if endpoint is not None:
            self._endpoints.pop(uuid).close()
        if here is None:
            return broken("internal", f"network {uuid}: its namespace does not stand, so nobody is served there")
        endpoint = Endpoint(network, here, self._tokens, self._counts)
        try:
            await asyncio.to_thread(endpoint.open)
        except OSError as error:
            return broken("internal", f"network {uuid}: its sockets could not be opened", str(error))
        await endpoint.serve(responder, guests)
        self._endpoints[uuid] = endpoint
        return None

    def _forget_counts(self) -> None:
        nics = {port.nic_uuid for network in self._snapshot.networks for port in network.ports}
        vms = {instance.vm_uuid for instance in self._snapshot.instances}
        for counts, alive in ((self._counts.acks, nics), (self._counts.reads, vms), (self._counts.homes, vms)):
            for key in set(counts) - alive:
                del counts[key]


def _key(path: Path) -> bytes:
    """The secret behind the tokens, made once: a token stays valid when the process is replaced."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        write_private(path, secrets.token_bytes(32))
        return path.read_bytes()


def write_private(path: Path, content: bytes) -> None:
    """Replace a file of mode 0600 in one step, durably."""
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
