"""What the host APIs do. A host that cannot be connected is not added; deleting one forgets it on both sides."""

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

from controlplane.agents.client import Address
from controlplane.contract.error import ApiError, Temporary, refused
from controlplane.contract.host import (
    AddKVMHost,
    ChangeHostState,
    DeleteHost,
    HostInventory,
    ReconnectHost,
    UpdateHost,
    UpdateKVMHost,
)
from controlplane.operations.interface import Operation
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.store.tables import now
from controlplane.workflows.host_connection import connect, host_row, sum_capacity
from controlplane.workflows.host_maintenance import maintain
from controlplane.workflows.vm_end import remove_vm
from controlplane.workflows.volume_rows import discard
from controlplane.workflows.world import World, workflow
from hostagent.contract import SnapshotSpec

_CONNECT = 30.0  # seconds until an unreachable host fails the API
_STATES = {"enable": "Enabled", "disable": "Disabled"}


def show(tx: Tx, uuid: str) -> dict[str, Any]:
    return {"inventory": HostInventory.model_validate(host_row(tx, uuid)).wire()}


def enrolled(tx: Tx, management_ip: str) -> rows.Row | None:
    return rows.find_one(tx, "HostAgentVO", management_ip=management_ip)


@workflow(AddKVMHost, queue=lambda message: f"host:{message.management_ip}")
async def add(op: Operation[World], message: AddKVMHost) -> dict[str, Any]:
    uuid = message.resource_uuid or op.derive("HostVO")

    def insert(tx: Tx) -> None:
        cluster = rows.get(tx, "ClusterVO", message.cluster_uuid)
        agent = enrolled(tx, message.management_ip)
        if cluster is None or agent is None:
            raise refused(f"cluster or host agent of {message.management_ip} was removed meanwhile")
        rows.insert(
            tx,
            "HostVO",
            uuid=uuid,
            name=message.name,
            description=message.description,
            zone_uuid=cluster["zone_uuid"],
            cluster_uuid=cluster["uuid"],
            management_ip=message.management_ip,
            hypervisor_type=cluster["hypervisor_type"],
            state="Enabled",
            status="Connecting",
            status_date=now(),
            agent_uuid=agent["uuid"],
            # Hosts remember the newest snapshot: one added again must go on above it.
            network_generation=int(time.time() * 1000),
        )

    async def reach() -> None:
        await connect(op.world, uuid)

    async def take_leave() -> None:
        with suppress(Temporary):  # what never answered needs no cleaning
            await let_go(op.world, await op.world.db.write(lambda tx: _leaving(tx, uuid)))

    await op.tx_step("insert", insert, lambda tx, _: remove(tx, uuid))
    try:
        await op.step("connect", reach, take_leave, timeout=_CONNECT)
    except ApiError as error:
        raise ApiError("HOST.1001", f"cannot connect host {message.management_ip}", error.error) from error
    return await op.world.db.read(lambda tx: show(tx, uuid))


def remove(tx: Tx, uuid: str) -> None:
    storages = [ref["primary_storage_uuid"] for ref in rows.find(tx, "LocalStorageHostRefVO", host_uuid=uuid)]
    rows.delete_where(tx, "LocalStorageHostRefVO", host_uuid=uuid)
    rows.delete(tx, "HostVO", uuid)
    for storage in storages:
        sum_capacity(tx, storage)


def _leaving(tx: Tx, uuid: str) -> dict[str, Any] | None:
    """What `let_go` needs to know, also when the host's row is gone; JSON."""
    host = rows.get(tx, "HostVO", uuid)
    agent = rows.get(tx, "HostAgentVO", host["agent_uuid"]) if host else None
    if host is None or agent is None:
        return None
    refs = rows.find(tx, "LocalStorageHostRefVO", host_uuid=uuid)
    rows.update(tx, "HostVO", uuid, network_generation=host["network_generation"] + 1)
    return {
        "uuid": uuid,
        "address": {"ip": agent["management_ip"], "port": agent["port"], "agent_uuid": agent["uuid"]},
        "generation": host["network_generation"] + 1,
        "patience": 10 if host["status"] == "Connected" else 1,  # seconds: what is gone needs no cleaning
        "storages": [ref["primary_storage_uuid"] for ref in refs],
        "vms": [],
        "volumes": [],
    }


async def let_go(world: World, leaving: dict[str, Any] | None) -> None:
    """Take VMs, volumes, networks and storages from the host. A refusal spoils nothing else; raises `Temporary`."""
    if leaving is None:
        return
    world.hosts.forget(leaving["uuid"])
    async with world.hosts.at(Address(**leaving["address"])) as client:
        calls: list[Callable[[], Awaitable[Any]]] = [
            *(partial(client.delete_vm, vm) for vm in leaving["vms"]),
            *(partial(client.delete_volume, *volume) for volume in leaving["volumes"]),
            partial(client.put_network, SnapshotSpec(generation=leaving["generation"])),
            *(partial(client.delete_storage, storage) for storage in leaving["storages"]),
        ]
        for call in calls:
            with suppress(ApiError):
                await call()


async def _update(op: Operation[World], message: Any) -> dict[str, Any]:
    def update(tx: Tx) -> dict[str, Any]:
        host = host_row(tx, message.uuid)
        values = message.model_dump(include={"name", "description", "management_ip"}, exclude_none=True)
        if message.management_ip and message.management_ip != host["management_ip"]:
            agent = enrolled(tx, message.management_ip)
            if agent is None:
                raise refused(f"no host agent has enrolled from {message.management_ip}")
            values["agent_uuid"] = agent["uuid"]
        rows.update(tx, "HostVO", message.uuid, **values)
        return show(tx, message.uuid)

    result = await op.commit("update", update)
    op.world.hosts.forget(message.uuid)
    return result


workflow(UpdateHost, queue=lambda message: f"host:{message.uuid}")(_update)
workflow(UpdateKVMHost, queue=lambda message: f"host:{message.uuid}")(_update)


@workflow(ChangeHostState, queue=lambda message: f"host:{message.uuid}")
async def change_state(op: Operation[World], message: ChangeHostState) -> dict[str, Any]:
    if message.state_event == "maintain":
        return await maintain(op, message, show)

    def change(tx: Tx) -> dict[str, Any]:
        rows.update(tx, "HostVO", message.uuid, state=_STATES[message.state_event])
        return show(tx, message.uuid)

    return await op.commit("change", change)


def refuse_while_running(tx: Tx, uuid: str) -> None:
    if running := rows.find(tx, "VmInstanceVO", host_uuid=uuid):
        raise refused(f"{len(running)} VMs are on this host: {names(running)}; stop or move them first")
    if coming := rows.find(tx, "VmInstanceVO", dest_host_uuid=uuid):
        raise refused(f"{len(coming)} VMs are on their way to this host: {names(coming)}; wait, or cancel their moves")


def names(found: list[rows.Row]) -> str:
    shown = ", ".join(f"{row['name']} ({row['uuid']})" for row in found[:5])
    return shown + (f" and {len(found) - 5} more" if len(found) > 5 else "")


@workflow(ReconnectHost, queue=lambda message: f"host:{message.uuid}")
async def reconnect(op: Operation[World], message: ReconnectHost) -> dict[str, Any]:
    async def reach() -> None:
        op.world.hosts.forget(message.uuid)
        await connect(op.world, message.uuid)

    try:
        await op.step("connect", reach, timeout=_CONNECT)
    except ApiError as error:
        raise ApiError("HOST.1001", f"cannot connect host {message.uuid}", error.error) from error
    return await op.world.db.read(lambda tx: show(tx, message.uuid))


@workflow(DeleteHost, queue=lambda message: f"host:{message.uuid}")
async def delete(op: Operation[World], message: DeleteHost) -> dict[str, Any]:
    """Forgotten first, so that nothing new comes to it, then let go."""

    def forget(tx: Tx) -> dict[str, Any] | None:
        leaving = _leaving(tx, message.uuid)
        if message.delete_mode == "Permissive":
            refuse_while_in_use(tx, message.uuid)
        elif leaving:
            leaving |= _lose(tx, message.uuid)
        remove(tx, message.uuid)
        return leaving

    leaving = await op.commit("delete", forget)
    await op.afterwards("let go", lambda: let_go(op.world, leaving), timeout=leaving["patience"] if leaving else 0)
    return {}


def _lose(tx: Tx, uuid: str) -> dict[str, list[Any]]:
    """The VMs and volumes of a host go with it."""
    refs = rows.find(tx, "LocalStorageResourceRefVO", host_uuid=uuid, resource_type="VolumeVO")
    volumes = rows.find(tx, "VolumeVO", uuid=[ref["resource_uuid"] for ref in refs])
    placed = {vm["uuid"] for vm in rows.find(tx, "VmInstanceVO", host_uuid=uuid)}
    vms = sorted(placed | {volume["vm_instance_uuid"] for volume in volumes if volume["type"] == "Root"})
    for vm in vms:
        remove_vm(tx, vm)
    for volume in volumes:
        if volume["vm_instance_uuid"] not in vms:
            discard(tx, volume["uuid"])
    garbage = rows.find(tx, "VolumeGarbageVO", host_uuid=uuid)
    rows.delete_where(tx, "VolumeGarbageVO", host_uuid=uuid)
    return {"vms": vms, "volumes": [(row["uuid"], row["primary_storage_uuid"], row["path"]) for row in garbage]}


def refuse_while_in_use(tx: Tx, uuid: str) -> None:
    refuse_while_running(tx, uuid)
    refs = rows.find(tx, "LocalStorageResourceRefVO", host_uuid=uuid, resource_type="VolumeVO")
    if refs:
        volumes = rows.find(tx, "VolumeVO", uuid=[ref["resource_uuid"] for ref in refs])
        raise refused(
            f"{len(refs)} volumes lie on this host: {names(volumes)}; expunge or move them first, "
            "or delete the host with deleteMode=Enforcing, which loses them"
        )
