"""Checks and reads of IP ranges."""

from ipaddress import IPv4Address
from typing import Any

from controlplane.contract.error import invalid
from controlplane.contract.ip_range import (
    AddIpRange,
    AddIpRangeByNetworkCidr,
    DeleteIpRange,
    FreeIpInventory,
    GetFreeIp,
    GetIpAddressCapacity,
    IpCapacity,
)
from controlplane.services.registry import Caller, answers, checks
from controlplane.store import allocation, rows
from controlplane.store.database import Tx
from controlplane.workflows.ip_range import bounds, in_use_by, must_fit, parsed, ranges_of
from controlplane.workflows.world import World

_WINDOW = 4096  # addresses looked at in one query


@checks(AddIpRange)
def range_fits(tx: Tx, message: AddIpRange) -> None:
    must_fit(tx, parsed(message), message.l3_network_uuid)


@checks(AddIpRangeByNetworkCidr)
def cidr_fits(tx: Tx, message: AddIpRangeByNetworkCidr) -> None:
    must_fit(tx, parsed(message), message.l3_network_uuid)


@checks(DeleteIpRange)
def range_is_unused(tx: Tx, message: DeleteIpRange) -> None:
    in_use_by(tx, message.uuid)


@answers(GetFreeIp)
async def free_ips(world: World, _caller: Caller, message: GetFreeIp) -> dict[str, Any]:
    if not (message.l3_network_uuid or message.ip_range_uuid):
        raise invalid("one of l3NetworkUuid and ipRangeUuid is needed", "l3NetworkUuid")
    return {"inventories": await world.db.read(lambda tx: _free(tx, message))}


def _free(tx: Tx, message: GetFreeIp) -> list[dict[str, Any]]:
    one = message.ip_range_uuid
    ranges = rows.find(tx, "IpRangeVO", uuid=one) if one else ranges_of(tx, message.l3_network_uuid or "")
    free: list[dict[str, Any]] = []
    for row in ranges:
        start, end = bounds(row)
        while start <= end and len(free) < message.limit:
            stop = min(end, start + _WINDOW - 1)
            used = allocation.used_ips(tx, row["l3_network_uuid"], start, stop)
            found = (number for number in range(start, stop + 1) if number not in used)
            free += [_free_ip(row, number) for number, _ in zip(found, range(message.limit - len(free)), strict=False)]
            start = stop + 1
    return free


def _free_ip(row: rows.Row, number: int) -> dict[str, Any]:
    ip = str(IPv4Address(number))
    return FreeIpInventory(ip_range_uuid=row["uuid"], ip=ip, netmask=row["netmask"], gateway=row["gateway"]).wire()


@answers(GetIpAddressCapacity)
async def capacity(world: World, _caller: Caller, message: GetIpAddressCapacity) -> dict[str, Any]:
    if not (message.zone_uuids or message.l3_network_uuids or message.ip_range_uuids or message.all):
        raise invalid("one of zoneUuids, l3NetworkUuids, ipRangeUuids or all=true is needed", "all")
    return await world.db.read(lambda tx: _capacity(tx, message))


def _capacity(tx: Tx, message: GetIpAddressCapacity) -> dict[str, Any]:
    found: dict[str, rows.Row] = {}
    if message.all:
        found = {row["uuid"]: row for row in rows.find(tx, "IpRangeVO")}
    l3s = set(message.l3_network_uuids or ())
    if message.zone_uuids:
        l3s |= {l3["uuid"] for l3 in rows.find(tx, "L3NetworkVO", zone_uuid=message.zone_uuids)}
    if l3s:
        found |= {row["uuid"]: row for row in rows.find(tx, "IpRangeVO", l3_network_uuid=l3s)}
    if message.ip_range_uuids:
        found |= {row["uuid"]: row for row in rows.find(tx, "IpRangeVO", uuid=message.ip_range_uuids)}
    total = sum(end - start + 1 for start, end in map(bounds, found.values()))
    used = allocation.count_used_ips(tx, list(found))
    return IpCapacity(total_capacity=total, available_capacity=total - used).wire()
