"""What the IP range APIs do, and the giving and taking of single addresses.

A NIC gets the lowest free address of its L3 network's oldest range with one left, a service the highest, so that the
addresses people like to choose themselves stay free. Whoever takes addresses has locked the L3 network's row before.
"""

from ipaddress import IPv4Address
from typing import Any

from controlplane.contract.error import ApiError, invalid, refused
from controlplane.contract.ip_range import AddIpRange, AddIpRangeByNetworkCidr, DeleteIpRange, UpdateIpRange
from controlplane.operations.interface import Operation
from controlplane.rules import ipv4
from controlplane.store import allocation, rows
from controlplane.store.database import Tx
from controlplane.workflows import inventories
from controlplane.workflows.world import World, tell, workflow

NIC, SERVICE = "VmNic", "NetworkService"


def ranges_of(tx: Tx, l3_uuid: str) -> list[rows.Row]:
    return rows.find(tx, "IpRangeVO", l3_network_uuid=l3_uuid, order_by=("create_date", "uuid"))


def bounds(row: rows.Row) -> tuple[int, int]:
    return int(IPv4Address(row["start_ip"])), int(IPv4Address(row["end_ip"]))


def take_ip(
    tx: Tx, l3: rows.Row, uuid: str, used_for: str, wanted: str | None = None, said_in: str = "systemTags"
) -> rows.Row:
    """The new UsedIpVO row. Raises L3.1000 when none is free or the wanted one is used, SYS.1007 when it is foreign."""
    ranges = ranges_of(tx, l3["uuid"])
    for row in ranges:
        start, end = bounds(row)
        if wanted is not None:
            number = int(IPv4Address(wanted))
            if not start <= number <= end:
                continue
            if allocation.used_ips(tx, l3["uuid"], number, number):
                raise ApiError("L3.1000", f"address {wanted} of L3 network {l3['name']} is in use")
            return _record(tx, row, number, uuid, used_for)
        if used_for == SERVICE:
            found = allocation.highest_free_ip(tx, l3["uuid"], start, end)
        else:
            found = allocation.lowest_free_ip(tx, l3["uuid"], max(start, row["lowest_free"]), end)
        if found is not None:
            if used_for == NIC:
                rows.update(tx, "IpRangeVO", row["uuid"], lowest_free=found + 1, last_op_date=row["last_op_date"])
            return _record(tx, row, found, uuid, used_for)
    if wanted is not None:
        raise invalid(f"address {wanted} lies in no range of L3 network {l3['name']} ({l3['uuid']})", said_in)
    what = "has no IP range" if not ranges else "has no free address left in its IP ranges"
    raise ApiError("L3.1000", f"L3 network {l3['name']} ({l3['uuid']}) {what}; add a range")


def return_ip(tx: Tx, used_ip_uuid: str) -> None:
    """Absent is fine."""
    used = rows.get(tx, "UsedIpVO", used_ip_uuid)
    if used is None:
        return
    rows.delete(tx, "UsedIpVO", used_ip_uuid)
    row = rows.get(tx, "IpRangeVO", used["ip_range_uuid"])
    if row and row["lowest_free"] > used["ip_in_long"]:
        rows.update(tx, "IpRangeVO", row["uuid"], lowest_free=used["ip_in_long"], last_op_date=row["last_op_date"])


def _record(tx: Tx, ip_range: rows.Row, number: int, uuid: str, used_for: str) -> rows.Row:
    return rows.insert(
        tx,
        "UsedIpVO",
        uuid=uuid,
        ip_range_uuid=ip_range["uuid"],
        l3_network_uuid=ip_range["l3_network_uuid"],
        ip=str(IPv4Address(number)),
        ip_in_long=number,
        netmask=ip_range["netmask"],
        gateway=ip_range["gateway"],
        used_for=used_for,
    )


# -- APIs ------------------------------------------------------------------------------------------------------------


def parsed(message: AddIpRange | AddIpRangeByNetworkCidr) -> ipv4.Range:
    if isinstance(message, AddIpRangeByNetworkCidr):
        return ipv4.range_of_cidr(message.network_cidr)
    return ipv4.range_of(message.start_ip, message.end_ip, message.netmask, message.gateway)


def must_fit(tx: Tx, new: ipv4.Range, l3_uuid: str) -> None:
    others = [
        ipv4.range_of(row["start_ip"], row["end_ip"], row["netmask"], row["gateway"]) for row in ranges_of(tx, l3_uuid)
    ]
    ipv4.must_fit(new, others)


async def _add(op: Operation[World], message: AddIpRange | AddIpRangeByNetworkCidr) -> dict[str, Any]:
    uuid = message.resource_uuid or op.derive("IpRangeVO")
    new = parsed(message)

    def insert(tx: Tx) -> dict[str, Any]:
        if rows.lock(tx, "L3NetworkVO", message.l3_network_uuid) is None:
            raise refused(f"L3 network {message.l3_network_uuid} was deleted meanwhile")
        must_fit(tx, new, message.l3_network_uuid)
        rows.insert(
            tx,
            "IpRangeVO",
            uuid=uuid,
            name=message.name,
            description=message.description,
            l3_network_uuid=message.l3_network_uuid,
            start_ip=str(new.start),
            end_ip=str(new.end),
            netmask=str(new.network.netmask),
            gateway=str(new.gateway),
            network_cidr=str(new.network),
            lowest_free=int(new.start),
        )
        return inventories.ip_range(tx, uuid)

    return await op.commit("insert", insert)


workflow(AddIpRange)(_add)
workflow(AddIpRangeByNetworkCidr)(_add)


@workflow(UpdateIpRange)
async def update(op: Operation[World], message: UpdateIpRange) -> dict[str, Any]:
    def change(tx: Tx) -> dict[str, Any]:
        rows.update(tx, "IpRangeVO", message.uuid, **message.model_dump(exclude={"uuid"}, exclude_none=True))
        return inventories.ip_range(tx, message.uuid)

    return await op.commit("update", change)


@workflow(DeleteIpRange)
async def delete(op: Operation[World], message: DeleteIpRange) -> dict[str, Any]:
    """The service address goes with its range; the next use takes one of another range."""

    def remove(tx: Tx) -> list[str]:
        row = rows.get(tx, "IpRangeVO", message.uuid)
        if row is None:
            return []
        rows.lock(tx, "L3NetworkVO", row["l3_network_uuid"])
        in_use_by(tx, message.uuid)
        if service := rows.find_one(tx, "UsedIpVO", ip_range_uuid=message.uuid, used_for=SERVICE):
            forget_service_ip(tx, row["l3_network_uuid"], service["uuid"])
        rows.delete(tx, "IpRangeVO", message.uuid)
        return hosts_of_l3(tx, row["l3_network_uuid"])

    await tell(op, await op.commit("delete", remove))
    return {}


def in_use_by(tx: Tx, range_uuid: str) -> None:
    used = [row["uuid"] for row in rows.find(tx, "UsedIpVO", ip_range_uuid=range_uuid, used_for=NIC)]
    if used:
        nics = rows.find(tx, "VmNicVO", used_ip_uuid=used[:500])
        vms = rows.find(tx, "VmInstanceVO", uuid=sorted({nic["vm_instance_uuid"] for nic in nics}))
        raise refused(f"{len(used)} addresses of the range are in use by VMs: {inventories.listed(vms)}")


def forget_service_ip(tx: Tx, l3_uuid: str, used_ip_uuid: str) -> None:
    return_ip(tx, used_ip_uuid)
    rows.update(tx, "L3NetworkVO", l3_uuid, service_ip=None, service_mac=None)
    for tag in rows.find(tx, "SystemTagVO", resource_uuid=l3_uuid, inherent=True):
        if tag["tag"].startswith("flatNetwork::DhcpServer::"):
            rows.delete(tx, "SystemTagVO", tag["uuid"])


def hosts_of_l3(tx: Tx, l3_uuid: str) -> list[str]:
    """Hosts with a VM on that network."""
    vms = {nic["vm_instance_uuid"] for nic in rows.find(tx, "VmNicVO", l3_network_uuid=l3_uuid)}
    found = rows.find(tx, "VmInstanceVO", uuid=vms) if vms else []
    return sorted({vm["host_uuid"] for vm in found if vm["host_uuid"]})
