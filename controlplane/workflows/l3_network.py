"""What the L3 network APIs do. Ranges, DNS servers and services are parts of their network and end with it."""

from typing import Any

from controlplane.contract.error import refused
from controlplane.contract.l3_network import (
    AddDnsToL3Network,
    ChangeL3NetworkState,
    CreateL3Network,
    DeleteL3Network,
    RemoveDnsFromL3Network,
    UpdateL3Network,
)
from controlplane.operations.interface import Operation
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows import inventories
from controlplane.workflows.ip_range import hosts_of_l3
from controlplane.workflows.world import World, tell, workflow

_STATES = {"enable": "Enabled", "disable": "Disabled"}


def _queue(message: Any) -> str:
    return f"l3:{message.uuid if hasattr(message, 'uuid') else message.l3_network_uuid}"


@workflow(CreateL3Network)
async def create(op: Operation[World], message: CreateL3Network) -> dict[str, Any]:
    uuid = message.resource_uuid or op.derive("L3NetworkVO")

    def insert(tx: Tx) -> dict[str, Any]:
        l2 = rows.lock(tx, "L2NetworkVO", message.l2_network_uuid)
        if l2 is None:
            raise refused(f"L2 network {message.l2_network_uuid} was deleted meanwhile")
        values = message.model_dump(exclude={"resource_uuid", "system_tags", "user_tags"})
        rows.insert(tx, "L3NetworkVO", uuid=uuid, zone_uuid=l2["zone_uuid"], state="Enabled", **values)
        return inventories.l3_network(tx, uuid)

    return await op.commit("insert", insert)


@workflow(UpdateL3Network, queue=_queue)
async def update(op: Operation[World], message: UpdateL3Network) -> dict[str, Any]:
    values = message.model_dump(exclude={"uuid"}, exclude_none=True)
    if message.dns_domain == "":
        values["dns_domain"] = None
    return await _change(op, message.uuid, values)


@workflow(ChangeL3NetworkState, queue=_queue)
async def change_state(op: Operation[World], message: ChangeL3NetworkState) -> dict[str, Any]:
    return await _change(op, message.uuid, {"state": _STATES[message.state_event]})


async def _change(op: Operation[World], uuid: str, values: dict[str, Any]) -> dict[str, Any]:
    def change(tx: Tx) -> dict[str, Any]:
        rows.update(tx, "L3NetworkVO", uuid, **values)
        return inventories.l3_network(tx, uuid)

    result = await op.commit("update", change)
    if "dns_domain" in values:
        await _settle(op, uuid)
    return result


@workflow(AddDnsToL3Network, queue=_queue)
async def add_dns(op: Operation[World], message: AddDnsToL3Network) -> dict[str, Any]:
    uuid, dns = message.l3_network_uuid, message.dns

    def insert(tx: Tx) -> dict[str, Any]:
        if rows.exists(tx, "L3NetworkDnsVO", l3_network_uuid=uuid, dns=dns):
            raise refused(f"DNS server {dns} is on L3 network {uuid} already")
        rows.insert(tx, "L3NetworkDnsVO", l3_network_uuid=uuid, dns=dns)
        return inventories.l3_network(tx, uuid)

    result = await op.commit("insert", insert)
    await _settle(op, uuid)
    return result


@workflow(RemoveDnsFromL3Network, queue=_queue)
async def remove_dns(op: Operation[World], message: RemoveDnsFromL3Network) -> dict[str, Any]:
    uuid = message.l3_network_uuid

    def remove(tx: Tx) -> dict[str, Any]:
        rows.delete_where(tx, "L3NetworkDnsVO", l3_network_uuid=uuid, dns=message.dns)
        return inventories.l3_network(tx, uuid)

    result = await op.commit("remove", remove)
    await _settle(op, uuid)
    return result


@workflow(DeleteL3Network, queue=_queue)
async def delete(op: Operation[World], message: DeleteL3Network) -> dict[str, Any]:
    def remove(tx: Tx) -> dict[str, Any]:
        if rows.lock(tx, "L3NetworkVO", message.uuid):
            refuse_in_use(tx, message.uuid)
            remove_l3(tx, message.uuid)
        return {}

    return await op.commit("delete", remove)


def refuse_in_use(tx: Tx, uuid: str) -> None:
    """NICs of destroyed VMs have no address and do not count."""
    nics = rows.find(tx, "VmNicVO", l3_network_uuid=uuid)
    vms = rows.find(tx, "VmInstanceVO", uuid={nic["vm_instance_uuid"] for nic in nics}) if nics else []
    if alive := [vm for vm in vms if vm["state"] != "Destroyed"]:
        raise refused(
            f"L3 network {uuid} is in use by {len(alive)} VMs: {inventories.listed(alive)}; destroy or detach them first"
        )


def remove_l3(tx: Tx, uuid: str) -> None:
    for table in ("VmNicVO", "UsedIpVO", "IpRangeVO", "L3NetworkDnsVO", "NetworkServiceL3NetworkRefVO"):
        rows.delete_where(tx, table, l3_network_uuid=uuid)
    for table in ("SystemTagVO", "UserTagVO"):
        rows.delete_where(tx, table, resource_uuid=uuid)
    rows.delete(tx, "L3NetworkVO", uuid)


async def _settle(op: Operation[World], uuid: str) -> None:
    await tell(op, await op.world.db.read(lambda tx: hosts_of_l3(tx, uuid)))
