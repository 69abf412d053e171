"""Network services: the flat provider (DHCP, Userdata), and the one address it answers at in each L3 network.

The service address is taken when a VM first needs it, is the same on every host, is remembered as an inherent system
tag, and ends with its IP range, its last service or its L3 network.
"""

from typing import Any

from controlplane.contract.error import refused
from controlplane.contract.l3_network import AttachNetworkServiceToL3Network, DetachNetworkServiceFromL3Network
from controlplane.operations.interface import Operation
from controlplane.rules.bridge import service_mac
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows import inventories
from controlplane.workflows.ip_range import SERVICE, forget_service_ip, hosts_of_l3, take_ip
from controlplane.workflows.world import World, tell, workflow

DHCP, USERDATA = "DHCP", "Userdata"
FLAT, FLAT_NAME, FLAT_SERVICES = "Flat", "Flat Network Service Provider", (DHCP, USERDATA)
_TAG = "flatNetwork::DhcpServer::{ip}::ipUuid::{uuid}"


def seed(tx: Tx, uuid: str) -> None:
    """The flat provider exists; `uuid` is for a new one. Run at start-up, by any number of nodes."""
    if rows.exists(tx, "NetworkServiceProviderVO", type=FLAT):
        return
    rows.insert(tx, "NetworkServiceProviderVO", uuid=uuid, name=FLAT_NAME, description=FLAT_NAME, type=FLAT)
    for service in FLAT_SERVICES:
        rows.insert(tx, "NetworkServiceTypeVO", network_service_provider_uuid=uuid, type=service)


def join_l2(tx: Tx, l2_uuid: str) -> None:
    """The flat provider serves every L2 network."""
    for provider in rows.find(tx, "NetworkServiceProviderVO", type=FLAT):
        rows.insert(
            tx,
            "NetworkServiceProviderL2NetworkRefVO",
            network_service_provider_uuid=provider["uuid"],
            l2_network_uuid=l2_uuid,
        )


def ensure_service_ip(tx: Tx, l3: rows.Row, uuid: str) -> bool:
    """The network has its service address if it needs one; `uuid` is the new address's. True when it was taken now."""
    if l3["service_ip"] or not rows.exists(tx, "NetworkServiceL3NetworkRefVO", l3_network_uuid=l3["uuid"]):
        return False
    used = take_ip(tx, l3, uuid, SERVICE)
    rows.update(tx, "L3NetworkVO", l3["uuid"], service_ip=used["ip"], service_mac=service_mac(l3["uuid"]))
    rows.insert(
        tx,
        "SystemTagVO",
        uuid=uuid,
        resource_uuid=l3["uuid"],
        resource_type="L3NetworkVO",
        tag=_TAG.format(ip=used["ip"], uuid=uuid),
        type="System",
        inherent=True,
    )
    return True


def drop_unused_service_ip(tx: Tx, uuid: str) -> None:
    """Undo of `ensure_service_ip`: gives the address back unless somebody else has come to rely on it."""
    used = rows.get(tx, "UsedIpVO", uuid)
    if used and not rows.exists(tx, "VmNicVO", l3_network_uuid=used["l3_network_uuid"]):
        forget_service_ip(tx, used["l3_network_uuid"], uuid)


def services_wanted(
    message: AttachNetworkServiceToL3Network | DetachNetworkServiceFromL3Network,
) -> list[tuple[str, str]]:
    return [(provider, service) for provider, names in message.network_services.items() for service in names]


@workflow(AttachNetworkServiceToL3Network, queue=lambda message: f"l3:{message.l3_network_uuid}")
async def attach(op: Operation[World], message: AttachNetworkServiceToL3Network) -> dict[str, Any]:
    uuid, service_ip = message.l3_network_uuid, op.derive("service ip")

    def insert(tx: Tx) -> list[str]:
        l3 = rows.lock(tx, "L3NetworkVO", uuid)
        if l3 is None:
            raise refused(f"L3 network {uuid} was deleted meanwhile")
        refuse_attached(tx, message)
        for provider, service in services_wanted(message):
            rows.insert(
                tx,
                "NetworkServiceL3NetworkRefVO",
                l3_network_uuid=uuid,
                network_service_provider_uuid=provider,
                network_service_type=service,
            )
        hosts = hosts_of_l3(tx, uuid)
        if hosts:
            ensure_service_ip(tx, l3, service_ip)
        return hosts

    await tell(op, await op.commit("attach", insert))
    return await op.world.db.read(lambda tx: inventories.l3_network(tx, uuid))


def refuse_attached(tx: Tx, message: AttachNetworkServiceToL3Network) -> None:
    there = {
        ref["network_service_type"]
        for ref in rows.find(tx, "NetworkServiceL3NetworkRefVO", l3_network_uuid=message.l3_network_uuid)
    }
    for _, service in services_wanted(message):
        if service in there:
            raise refused(f"service {service} is attached to L3 network {message.l3_network_uuid} already")


@workflow(DetachNetworkServiceFromL3Network, queue=lambda message: f"l3:{message.l3_network_uuid}")
async def detach(op: Operation[World], message: DetachNetworkServiceFromL3Network) -> dict[str, Any]:
    uuid = message.l3_network_uuid

    def remove(tx: Tx) -> list[str]:
        rows.lock(tx, "L3NetworkVO", uuid)
        for provider, service in services_wanted(message):
            rows.delete_where(
                tx,
                "NetworkServiceL3NetworkRefVO",
                l3_network_uuid=uuid,
                network_service_provider_uuid=provider,
                network_service_type=service,
            )
        if not rows.exists(tx, "NetworkServiceL3NetworkRefVO", l3_network_uuid=uuid):
            for used in rows.find(tx, "UsedIpVO", l3_network_uuid=uuid, used_for=SERVICE):
                forget_service_ip(tx, uuid, used["uuid"])
        return hosts_of_l3(tx, uuid)

    await tell(op, await op.commit("detach", remove))
    return await op.world.db.read(lambda tx: inventories.l3_network(tx, uuid))
