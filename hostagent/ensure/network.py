"""Makes the host's network what a snapshot says: guard first, then bridges and namespaces, then the services.

The guard names devices before they exist, so nothing is ever unguarded. An address that changes hands is withdrawn from
the services first: at no moment does its new owner read the old one's data, or the old one the new one's. A problem with one network does not keep the
others from being served: all that can be done is done, then the first problem is raised. An older generation than the
services hold is refused before anything changes.
"""

import asyncio
from pathlib import Path

from hostagent.contract import NetworkStatus, PhysicalInterface, SnapshotSpec
from hostagent.contract.error import HostError, rejected
from hostagent.dhcp import Responder
from hostagent.drivers import guard, links, naming
from hostagent.metadata import Directory
from hostagent.netservice.client import NetserviceClient


class HostNetwork:
    """The real `NetworkPort`. `directory` holds the service process's state; one object per host."""

    def __init__(self, directory: Path) -> None:
        self._services = NetserviceClient(directory)
        self._lock = asyncio.Lock()
        self._vlan: bool | None = None

    async def apply(self, snapshot: SnapshotSpec) -> NetworkStatus:
        """Raises: stale_generation, invalid_spec (nothing changed); interface_missing, vlan_unsupported, in_use, internal."""
        rules = await asyncio.to_thread(_checked, snapshot)
        async with self._lock:
            held = (await self._services.withdraw(snapshot)).status.generation
            if snapshot.generation < held:
                raise rejected(
                    "stale_generation", f"the network is at generation {held}; {snapshot.generation} is older"
                )
            await asyncio.to_thread(guard.apply, rules)
            problems = await asyncio.to_thread(links.apply, snapshot)
            try:
                answer = await self._services.apply(snapshot)
            except HostError as error:
                raise (problems or [error])[0] from error
            if problems:
                raise problems[0]
            return answer.status

    async def status(self) -> NetworkStatus:
        return (await self._services.status()).status

    async def interfaces(self) -> list[PhysicalInterface]:
        return await asyncio.to_thread(links.interfaces)

    async def vlan_supported(self) -> bool:
        if self._vlan is None:
            self._vlan = await asyncio.to_thread(links.vlan_supported)
        return self._vlan


def _checked(snapshot: SnapshotSpec) -> str:
    """The guard's rules, after everything else was built once for the errors it raises. Raises: invalid_spec."""
    naming.check(snapshot)
    for network in snapshot.networks:
        if network.service_ip:
            Responder(network)
    Directory(snapshot)
    return guard.ruleset(snapshot)
