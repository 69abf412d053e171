"""A running VM goes on on another host, with its disks: MigrateVm.

What its disks rest on is copied and verified as for a stopped VM. Then the hosts copy what the guest writes to, and its
memory, until it stands still on the destination and is off on the source: a pause of a fraction of a second, in which one
transaction makes the destination its place. Before that the source has the good copy, after it the destination: only then
does the guest go on there (if its host does not answer, when that answers again: `power_state`), and only after that are
domain and files of the source removed. A move that is taken back in the pause brings the guest back the same way.
"""

from typing import Any

from controlplane.contract.error import refused
from controlplane.contract.migration import MigrateVm
from controlplane.operations.interface import Operation
from controlplane.rules.vm_state import MIGRATING, RUNNING, UNKNOWN, must_allow
from controlplane.store import allocation, rows
from controlplane.store.database import Tx
from controlplane.workflows import global_config, inventories, migration_rows
from controlplane.workflows.migration import clear, plan, with_plan
from controlplane.workflows.migration_copy import Copy
from controlplane.workflows.migration_road import Road
from controlplane.workflows.migration_rules import Move, move_running
from controlplane.workflows.vm import failing
from controlplane.workflows.vm_end import collect
from controlplane.workflows.vm_spec import ensure_isos, vm_spec
from controlplane.workflows.volume_spec import put_volume, volume_spec
from controlplane.workflows.world import World, tell, workflow

_IMAGE, _MOVE, _CALL = 4 * 3600.0, 86_400.0, 120.0  # seconds
Json = dict[str, Any]


@workflow(MigrateVm, queue=lambda message: f"vm:{message.vm_instance_uuid}")
async def migrate(op: Operation[World], message: MigrateVm) -> Json:
    uuid = message.vm_instance_uuid
    with failing("SYS.1006", f"cannot migrate VM {uuid}"):
        if message.dry_run:
            shown = await op.world.db.read(lambda tx: inventories.vm(tx, uuid))
            return with_plan(shown, await plan(op, lambda tx: move_running(tx, uuid, message.host_uuid)))
        return await _migrate(op, message)


async def _migrate(op: Operation[World], message: MigrateVm) -> Json:
    uuid, world = message.vm_instance_uuid, op.world

    def begin(tx: Tx) -> Json:
        return _begin(op, tx, uuid, move_running(tx, uuid, message.host_uuid))

    begun = await op.tx_step("begin", begin, lambda tx, begun: _abandon(op, tx, uuid, begun))
    source, dest = begun["source"], begun["dest"]
    copy, road = Copy(op, begun, message.bandwidth), Road(op, uuid, begun, message.bandwidth)

    async def make_way() -> None:
        await world.hosts.get(dest).delete_vm(uuid)  # of a move that could not be cleaned up
        await clear(world, begun)

    async def disconnect() -> None:
        await world.db.write(lambda tx: _leave_network(tx, uuid))
        await copy.if_up(dest, lambda: world.network.ensure(dest))

    async def close() -> None:
        await copy.if_up(source, copy.close)  # it expires by itself

    async def take_back() -> None:
        if not await copy.if_up(dest, copy.take_back):
            await world.db.write(lambda tx: migration_rows.leave_behind(op, tx, begun))

    async def make_disks() -> None:
        for volume in begun["tops"]:
            await _make_disk(world, begun, volume, files)

    async def delete_disks() -> None:
        client = world.hosts.get(dest)
        for volume in begun["tops"]:
            await client.delete_volume(volume["uuid"], begun["storage_uuid"], volume["spec"]["path"])

    async def unmake_disks() -> None:
        if not await copy.if_up(dest, delete_disks):
            await world.db.write(lambda tx: migration_rows.leave_behind(op, tx, begun))

    await op.step("clear", copy.while_up(make_way), timeout=_CALL)
    await op.step("network", copy.while_up(lambda: world.network.ensure(dest)), disconnect, timeout=_CALL)
    await op.step("iso", copy.while_up(lambda: ensure_isos(world, dest, uuid)), timeout=_IMAGE)
    files = await op.step("export", copy.while_up(copy.look), close, timeout=_CALL)
    await op.step("base images", copy.while_up(lambda: copy.fetch_bases(files)), timeout=_IMAGE)
    tops = {volume["spec"]["path"] for volume in begun["tops"]}
    still = [file for file in files if file["path"] not in tops]
    name = f"{begun['vm_name']} to {begun['dest_name']}"
    if still:
        await op.step(
            "copy", copy.while_up(lambda: copy.bring(still, f"the disks of {name}")), take_back, timeout=_MOVE
        )
    await op.step("disks", copy.while_up(make_disks), unmake_disks, timeout=_CALL)
    await op.step("move", copy.while_up(lambda: road.go(name)), lambda: road.come_back(copy), timeout=_MOVE)

    def finish(tx: Tx) -> Json:
        garbage = _flip(op, tx, uuid, begun)
        return {"garbage": garbage, "result": inventories.vm(tx, uuid)}

    done = await op.commit("flip", finish)
    await op.afterwards("resume", road.resume, timeout=_CALL)
    await tell(op, [source, dest])
    await op.afterwards("keep", copy.keep)
    await op.afterwards("close", copy.close)
    await op.afterwards("forget", road.forget)
    await op.afterwards("delete", lambda: collect(world, done["garbage"]))
    result: Json = done["result"]
    return result


async def _make_disk(world: World, begun: Json, volume: Json, files: list[Json]) -> None:
    """An empty file on the destination, as large, on top of what the source's rests on."""
    spec, uuid = volume["spec"], volume["uuid"]
    found = await world.hosts.get(begun["source"]).get_volume(uuid, begun["storage_uuid"], spec["path"])
    backing = next((file["backing_path"] for file in files if file["path"] == spec["path"]), None)
    base = None if spec["below"] or not backing else backing.rpartition("/")[2].removesuffix(".qcow2")
    wanted = {"size": found.size, "base_image_uuid": base, "vm_uuid": None, "below": spec["below"] or None}
    await put_volume(world, begun["dest"], uuid, spec | wanted)


# -- the database ----------------------------------------------------------------------------------------------------


def _begin(op: Operation[World], tx: Tx, uuid: str, move: Move) -> Json:
    vm, dest = inventories.must_get(tx, "VmInstanceVO", uuid), move.dest["uuid"]
    must_allow("MigrateVm", uuid, vm["state"])
    reserved = global_config.size(tx, "kvm", "reservedMemory")
    if not allocation.take_host(tx, dest, vm["cpu_num"], vm["memory_size"], reserved):
        raise refused(f"another VM took the last CPUs or memory of host {move.dest['name']}")
    begun = migration_rows.begin(op, tx, move)
    rows.update(tx, "VmInstanceVO", uuid, state=MIGRATING, dest_host_uuid=dest, generation=vm["generation"] + 1)
    tops = [{"uuid": volume["uuid"], "spec": volume_spec(tx, volume["uuid"])} for volume in move.volumes]
    specs = {"spec": vm_spec(tx, uuid, at=dest), "spec_before": vm_spec(tx, uuid)}
    return begun | specs | {"tops": tops, "vm_name": vm["name"]}


def _abandon(op: Operation[World], tx: Tx, uuid: str, begun: Json) -> None:
    migration_rows.abandon(op, tx, begun)
    vm, host = rows.get(tx, "VmInstanceVO", uuid), rows.get(tx, "HostVO", begun["source"])
    if vm is None or vm["state"] != MIGRATING:
        return
    allocation.return_host(tx, begun["dest"], vm["cpu_num"], vm["memory_size"])
    is_lost = host is None or host["status"] == "Disconnected"
    rows.update(tx, "VmInstanceVO", uuid, state=UNKNOWN if is_lost else RUNNING, dest_host_uuid=None)


def _leave_network(tx: Tx, uuid: str) -> None:
    rows.update_where(tx, "VmInstanceVO", {"uuid": uuid, "state": MIGRATING}, dest_host_uuid=None)


def _flip(op: Operation[World], tx: Tx, uuid: str, begun: Json) -> list[str]:
    """The destination is the place of the VM and of its volumes; returns the garbage on the source."""
    vm, dest = rows.lock(tx, "VmInstanceVO", uuid), rows.get(tx, "HostVO", begun["dest"])
    if vm is None or dest is None or vm["state"] != MIGRATING:
        raise refused(f"VM {uuid} or host {begun['dest_name']} was deleted meanwhile")
    allocation.return_host(tx, begun["source"], vm["cpu_num"], vm["memory_size"])
    where = {"host_uuid": begun["dest"], "last_host_uuid": begun["dest"], "cluster_uuid": dest["cluster_uuid"]}
    rows.update(tx, "VmInstanceVO", uuid, state=RUNNING, dest_host_uuid=None, stands_still=True, **where)
    rows.delete_where(tx, "ConsoleAccessVO", vm_instance_uuid=uuid)
    return migration_rows.flip(op, tx, begun)
