"""The host's network in memory: keeps the snapshot, checks what a real host would refuse."""

from collections import Counter

from hostagent.contract import NetworkStatus, PhysicalInterface, SnapshotSpec
from hostagent.contract.error import rejected


class SimNetwork:
    def __init__(self, interfaces: tuple[str, ...], vlan: bool) -> None:
        self.snapshot = SnapshotSpec(generation=0)
        self._interfaces = interfaces
        self._vlan = vlan
        self._bridges: frozenset[str] = frozenset()
        self.boots: Counter[str] = Counter()  # of guests: each asks for its lease and its metadata once

    async def apply(self, snapshot: SnapshotSpec) -> NetworkStatus:
        for bridge in snapshot.bridges:
            if bridge.physical_interface not in self._interfaces:
                raise rejected(
                    "interface_missing",
                    f"no physical interface {bridge.physical_interface!r}; there are {', '.join(self._interfaces)}",
                )
            if bridge.vlan is not None and not self._vlan:
                raise rejected("vlan_unsupported", "the kernel of this host knows no VLAN devices")
        self.snapshot = snapshot
        self._bridges = frozenset(bridge.name for bridge in snapshot.bridges)
        return await self.status()

    async def status(self) -> NetworkStatus:
        acks = {
            port.nic_uuid: self.boots[port.vm_uuid]
            for network in self.snapshot.networks
            if network.dhcp
            for port in network.ports
        }
        reads = {
            port.vm_uuid: self.boots[port.vm_uuid]
            for network in self.snapshot.networks
            if network.userdata
            for port in network.ports
        }
        return NetworkStatus(generation=self.snapshot.generation, dhcp_acks=acks, metadata_reads=reads)

    async def interfaces(self) -> list[PhysicalInterface]:
        return [
            PhysicalInterface(name=name, mac=f"02:00:00:00:00:{index:02x}", mtu=1500, up=True)
            for index, name in enumerate(self._interfaces)
        ]

    async def vlan_supported(self) -> bool:
        return self._vlan

    def has_bridge(self, name: str) -> bool:
        return name in self._bridges
