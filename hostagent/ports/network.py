"""What the agent needs from the host's network: one snapshot made true, and what stands now.

The real one speaks to the network service process, the simulated one keeps the snapshot. `apply` returns when a
guest may start; it never half-applies silently but raises `HostError`.
"""

from typing import Protocol

from hostagent.contract import NetworkStatus, PhysicalInterface, SnapshotSpec


class NetworkPort(Protocol):
    async def apply(self, snapshot: SnapshotSpec) -> NetworkStatus:
        """Make the host's network what `snapshot` says. Raises: interface_missing, vlan_unsupported, stale_generation."""
        ...

    async def status(self) -> NetworkStatus: ...

    async def interfaces(self) -> list[PhysicalInterface]: ...

    async def vlan_supported(self) -> bool: ...
