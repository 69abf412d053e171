"""Checks and reads of L3 networks and their services."""

from typing import Any

from controlplane.contract.error import invalid, refused
from controlplane.contract.l3_network import (
    AddDnsToL3Network,
    AttachNetworkServiceToL3Network,
    CreateL3Network,
    DetachNetworkServiceFromL3Network,
    DhcpIpAddress,
    GetL3NetworkDhcpIpAddress,
    UpdateL3Network,
)
from controlplane.rules import ipv4
from controlplane.services.registry import Caller, answers, checks
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows.network_service import refuse_attached
from controlplane.workflows.world import World


@checks(CreateL3Network)
def domain_is_valid(_tx: Tx, message: CreateL3Network) -> None:
    _must_be_domain(message.dns_domain)


@checks(UpdateL3Network)
def new_domain_is_valid(_tx: Tx, message: UpdateL3Network) -> None:
    """An empty one takes the domain away."""
    _must_be_domain(message.dns_domain or None)


def _must_be_domain(domain: str | None) -> None:
    if domain is not None and not ipv4.is_domain(domain):
        raise invalid(f"dnsDomain {domain!r} is no domain name, such as cloud.example.org", "dnsDomain")


@checks(AddDnsToL3Network)
def dns_is_new(tx: Tx, message: AddDnsToL3Network) -> None:
    ipv4.address(message.dns, "dns")
    if rows.exists(tx, "L3NetworkDnsVO", l3_network_uuid=message.l3_network_uuid, dns=message.dns):
        raise refused(f"DNS server {message.dns} is on L3 network {message.l3_network_uuid} already")


@checks(AttachNetworkServiceToL3Network)
def services_exist(tx: Tx, message: AttachNetworkServiceToL3Network) -> None:
    _known_services(tx, message)
    l3 = rows.get(tx, "L3NetworkVO", message.l3_network_uuid) or {}
    for provider in message.network_services:
        where = {"network_service_provider_uuid": provider, "l2_network_uuid": l3["l2_network_uuid"]}
        if not rows.exists(tx, "NetworkServiceProviderL2NetworkRefVO", **where):
            raise refused(f"provider {provider} is not attached to L2 network {l3['l2_network_uuid']}")
    refuse_attached(tx, message)


@checks(DetachNetworkServiceFromL3Network)
def detached_services_exist(tx: Tx, message: DetachNetworkServiceFromL3Network) -> None:
    _known_services(tx, message)


def _known_services(tx: Tx, message: AttachNetworkServiceToL3Network | DetachNetworkServiceFromL3Network) -> None:
    if not message.network_services:
        raise invalid("networkServices is empty; it is a map from provider uuid to service types", "networkServices")
    for provider, wanted in message.network_services.items():
        row = rows.get(tx, "NetworkServiceProviderVO", provider)
        if row is None:
            raise invalid(f"networkServices names provider {provider}, which does not exist", "networkServices")
        if not wanted:
            raise invalid(f"networkServices lists no service of provider {row['name']}", "networkServices")
        found = rows.find(tx, "NetworkServiceTypeVO", network_service_provider_uuid=provider)
        offered = sorted(service["type"] for service in found)
        if unknown := [service for service in wanted if service not in offered]:
            raise invalid(f"provider {row['name']} offers {', '.join(offered)}, not {unknown[0]!r}", "networkServices")
        if len(set(wanted)) < len(wanted):
            raise invalid(f"networkServices repeats a service of provider {row['name']}", "networkServices")


@answers(GetL3NetworkDhcpIpAddress)
async def dhcp_ip(world: World, _caller: Caller, message: GetL3NetworkDhcpIpAddress) -> dict[str, Any]:
    l3 = await world.db.read(lambda tx: rows.get(tx, "L3NetworkVO", message.l3_network_uuid))
    return DhcpIpAddress(ip=l3["service_ip"] if l3 else None).wire()
