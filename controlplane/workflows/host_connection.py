"""Bringing a host to what it should be: facts read, storages known to it, networks as the database says.

`connect` is *ensure*: AddKVMHost, ReconnectHost and the host reconciler all use it, and it may run at any time. It ends
with the status Connected, or raises and leaves the status to its caller.
"""

import asyncio
from typing import Any

from controlplane.agents.client import Address
from controlplane.contract.error import ApiError, not_found, refused
from controlplane.store import rows
from controlplane.store.database import Database, Tx
from controlplane.store.tables import now
from controlplane.workflows.world import World
from hostagent.contract import HostFacts, StorageSpec, StorageStatus

CPU_RATIO = 10  # virtual CPUs that one processor carries, as in the reference
_ROUNDS = 5


async def connect(world: World, host_uuid: str) -> HostFacts:
    """Raises `Temporary` (not reachable), `ApiError` (refused, or the host is gone from the database)."""
    facts = await world.hosts.get(host_uuid).facts()
    await world.db.write(lambda tx: record_facts(tx, host_uuid, facts))
    for _ in range(_ROUNDS):
        await ensure_storages(world, host_uuid)
        await world.network.ensure(host_uuid)
        if await world.db.write(lambda tx: _connected(tx, host_uuid)):
            return facts
    raise ApiError("HOST.1001", f"storages of host {host_uuid} keep changing while it connects")


def _connected(tx: Tx, host_uuid: str) -> bool:
    """Decided in one transaction with what an attach reads, so that a storage attached meanwhile is not missed."""
    host = host_row(tx, host_uuid)
    known = {ref["primary_storage_uuid"] for ref in rows.find(tx, "LocalStorageHostRefVO", host_uuid=host_uuid)}
    if any(storage["uuid"] not in known for storage in storages_of(tx, host["cluster_uuid"])):
        return False
    set_status(tx, host_uuid, "Connected")
    for uuid in known:
        sum_capacity(tx, uuid)
    return True


async def address_of(db: Database, host_uuid: str) -> Address:
    """Where a host's agent listens, and who must answer there."""

    def find(tx: Tx) -> Address:
        host = host_row(tx, host_uuid)
        agent = rows.get(tx, "HostAgentVO", host["agent_uuid"])
        if agent is None:
            raise refused(f"the agent of host {host['name']} ({host_uuid}) is not enrolled any more")
        return Address(agent["management_ip"], agent["port"], agent["uuid"])

    return await db.read(find)


def host_row(tx: Tx, host_uuid: str) -> rows.Row:
    host = rows.get(tx, "HostVO", host_uuid)
    if host is None:
        raise not_found(f"there is no host {host_uuid}")
    return host


def set_status(tx: Tx, host_uuid: str, status: str, reason: str = "") -> bool:
    """True when it changed. The capacity of its storages is counted while a host is connected."""
    host = rows.get(tx, "HostVO", host_uuid)
    if host is None or (host["status"], host["status_reason"] or "") == (status, reason):
        return False
    since = host["status_date"] if host["status"] == status else now()
    rows.update(tx, "HostVO", host_uuid, status=status, status_reason=reason[:2000] or None, status_date=since)
    if host["status"] != status:
        for ref in rows.find(tx, "LocalStorageHostRefVO", host_uuid=host_uuid):
            sum_capacity(tx, ref["primary_storage_uuid"])
    return bool(host["status"] != status)


def record_facts(tx: Tx, host_uuid: str, facts: HostFacts) -> None:
    host = rows.lock(tx, "HostVO", host_uuid) or host_row(tx, host_uuid)
    rows.update(
        tx,
        "HostVO",
        host_uuid,
        cpu_num=facts.cpu_num,
        total_cpu_capacity=facts.cpu_num * CPU_RATIO,
        available_cpu_capacity=facts.cpu_num * CPU_RATIO - host["cpu_used"],
        total_memory_capacity=facts.memory_bytes,
        available_memory_capacity=facts.memory_bytes - host["memory_used"],
        cpu_model=facts.cpu_model[:255],
        domain_type=facts.domain_type,
        kvm_reason=facts.kvm_reason[:2000] or None,
        agent_version=facts.agent_version[:64],
        agent_boot_id=facts.agent_boot_id,
        vlan_supported=facts.vlan_supported,
        facts=facts.model_dump_json(),
    )


# -- storages of a host ------------------------------------------------------------------------------------------


def storages_of(tx: Tx, cluster_uuid: str) -> list[rows.Row]:
    refs = rows.find(tx, "PrimaryStorageClusterRefVO", cluster_uuid=cluster_uuid)
    return rows.find(tx, "PrimaryStorageVO", uuid=[ref["primary_storage_uuid"] for ref in refs]) if refs else []


async def ensure_storages(world: World, host_uuid: str) -> None:
    """The host knows the storages of its cluster and no other; directories of forgotten ones stay."""
    client = world.hosts.get(host_uuid)
    known = await client.list_storages()
    storages = await world.db.read(lambda tx: storages_of(tx, host_row(tx, host_uuid)["cluster_uuid"]))
    for gone in {status.uuid for status in known} - {storage["uuid"] for storage in storages}:
        await client.delete_storage(gone)
    await asyncio.gather(*(ensure_storage(world, host_uuid, storage) for storage in storages))


async def ensure_storage(world: World, host_uuid: str, storage: rows.Row) -> None:
    """The directory exists on the host and its size is on record."""
    spec = StorageSpec(generation=1, path=storage["mount_path"])  # a storage's directory never changes
    status = await world.hosts.get(host_uuid).put_storage(storage["uuid"], spec)
    await world.db.write(lambda tx: _record_storage(tx, host_uuid, storage["uuid"], status))


def _record_storage(tx: Tx, host_uuid: str, storage_uuid: str, status: StorageStatus) -> None:
    """What others used when the storage came is `system_used`; what is left is what volumes do not claim."""
    where: dict[str, Any] = {"primary_storage_uuid": storage_uuid, "host_uuid": host_uuid}
    ref = rows.find_one(tx, "LocalStorageHostRefVO", **where)
    used = ref["system_used_capacity"] if ref else status.total_bytes - status.available_bytes
    claimed = sum(claim["size"] for claim in rows.find(tx, "LocalStorageResourceRefVO", **where))
    measured = {
        "total_capacity": status.total_bytes,
        "available_capacity": status.total_bytes - used - claimed,
        "total_physical_capacity": status.total_bytes,
        "available_physical_capacity": status.available_bytes,
        "system_used_capacity": used,
    }
    if ref:
        rows.update(tx, "LocalStorageHostRefVO", ref["id"], **measured)
    else:
        rows.insert(tx, "LocalStorageHostRefVO", **where, **measured)
    sum_capacity(tx, storage_uuid)


CAPACITIES = (
    "total_capacity",
    "available_capacity",
    "total_physical_capacity",
    "available_physical_capacity",
    "system_used_capacity",
)


def sum_capacity(tx: Tx, storage_uuid: str) -> None:
    """A local storage is as large as its directories on connected hosts, and connected when there is one."""
    refs = rows.find(tx, "LocalStorageHostRefVO", primary_storage_uuid=storage_uuid)
    hosts = rows.find(tx, "HostVO", uuid=[ref["host_uuid"] for ref in refs], status="Connected") if refs else []
    up = {host["uuid"] for host in hosts}
    counted = [ref for ref in refs if ref["host_uuid"] in up]
    status = "Connected" if counted else "Disconnected" if refs else "Connecting"
    sums = {name: sum(ref[name] for ref in counted) for name in CAPACITIES}
    rows.update(tx, "PrimaryStorageVO", storage_uuid, status=status, **sums)
