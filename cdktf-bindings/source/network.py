"""A flat network: a broadcast domain on the hosts' interface, with addresses, DHCP and metadata."""

import ipaddress
from typing import Any

from constructs import Construct

from ._attributes import Place, StackError, is_reference
from .cluster import ClusterLike
from .resources import L2Network, Network


class FlatNetwork(Construct):
    """A network as it is in the room: `cidr` on `interface` of every host of the cluster, tagged or not.

    `dhcp`: every host gives its own guests their addresses. It is True, False (guests have static addresses), or the
    first and last address to give out. Without them the guests get all of `cidr` but the first address, the gateway's.
    Metadata and user data are served unless `metadata` is False.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        cluster: ClusterLike,
        interface: str,
        cidr: str,
        dhcp: bool | tuple[str, str] = True,
        **more: Any,
    ) -> None:
        super().__init__(scope, id)
        vlan, metadata = more.pop("vlan", None), more.pop("metadata", True)
        self.cluster = cluster
        self.l2 = L2Network(
            self, "l2", name=id, zone_uuid=cluster.zone_uuid, physical_interface=interface, vlan=vlan,
            cluster_uuids=[cluster.uuid], depends_on=list(cluster.ready),
        )  # fmt: skip
        services = [name for name, wished in (("DHCP", dhcp), ("Userdata", metadata)) if wished]
        addresses = self._addresses(cidr, dhcp)
        self.resource = Network(
            self, "l3", **({"name": id} | addresses | {"l2_network_uuid": self.l2.uuid, "services": services} | more)
        )

    @property
    def uuid(self) -> str:
        return self.resource.uuid

    def _addresses(self, cidr: str, dhcp: bool | tuple[str, str]) -> dict[str, Any]:
        if is_reference(cidr):
            network = None
        else:
            try:
                network = ipaddress.IPv4Network(cidr)
            except ValueError as error:
                raise StackError(Place(self), f"cidr must be a network such as 10.20.0.0/24: {error}") from error
        if isinstance(dhcp, bool):
            return {"cidr": cidr}
        if network is None:
            raise StackError(Place(self), "dhcp with a first and a last address needs a cidr that is known")
        for address in dhcp:
            if is_reference(address):
                continue
            try:
                inside = ipaddress.IPv4Address(address) in network
            except ValueError as error:
                raise StackError(Place(self), f"dhcp: {error}") from error
            if not inside:
                raise StackError(Place(self), f"dhcp: {address} is not in {network}")
        first, last = dhcp
        gateway = str(network[1])
        return {"ip_ranges": [{"start_ip": first, "end_ip": last, "netmask": str(network.netmask), "gateway": gateway}]}
