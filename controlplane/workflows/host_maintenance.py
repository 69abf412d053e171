"""A host goes into maintenance: what is on it goes away first, one VM after the other, each by an operation of its own.

A VM that runs moves while it runs where that is allowed and possible, else it is stopped, moved and started if the caller
said so; a stopped one is moved. What cannot go anywhere is told for each VM before anything is touched. A maintenance that
fails or is cancelled cancels the move that is under way, starts what it had stopped and gives the host its state back; what
has moved by then stays where it is.
"""

from functools import partial
from typing import Any

from controlplane.contract.base import Api
from controlplane.contract.error import ApiError, ErrorCode, refused
from controlplane.contract.host import ChangeHostState
from controlplane.contract.migration import LocalStorageMigrateVm, MigrateVm
from controlplane.contract.vm import StartVmInstance, StopVmInstance
from controlplane.operations.engine import Engine
from controlplane.operations.interface import Operation
from controlplane.operations.journal import Progress
from controlplane.rules.vm_state import RUNNING, STOPPED
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows.host_connection import host_row
from controlplane.workflows.migration_rules import Move, move_anywhere, move_running, move_vm
from controlplane.workflows.world import World, workflows

PREPARING, IN_MAINTENANCE = "PreMaintenance", "Maintenance"
_LONGEST, _LOOK = 7 * 86_400.0, 2.0  # seconds: for one VM, between two reports of progress
Json = dict[str, Any]


def must_be_drainable(tx: Tx, message: ChangeHostState) -> None:
    """Raises with why not for each VM that cannot leave."""
    coming = rows.find(tx, "VmInstanceVO", dest_host_uuid=message.uuid)
    reasons = [f"VM {vm['name']} ({vm['uuid']}) is on its way here" for vm in coming]
    for vm in _vms_on(tx, message):
        try:
            _way(tx, vm, message)
        except ApiError as error:
            reasons.append(f"VM {vm['name']} ({vm['uuid']}): {_innermost(error)}")
    if reasons:
        host = host_row(tx, message.uuid)
        raise refused(
            f"{len(reasons)} VMs cannot leave host {host['name']} ({message.uuid}); stop or move them first: "
            + "; ".join(reasons)
        )


def _vms_on(tx: Tx, message: ChangeHostState) -> list[rows.Row]:
    """Those that run there first."""
    refs = rows.find(tx, "LocalStorageResourceRefVO", host_uuid=message.uuid, resource_type="VolumeVO")
    roots = rows.find(tx, "VmInstanceVO", root_volume_uuid=[ref["resource_uuid"] for ref in refs]) if refs else []
    placed = rows.find(tx, "VmInstanceVO", host_uuid=message.uuid)
    stopped = [] if message.leave_stopped else [vm for vm in roots if vm["state"] == STOPPED]
    found = {vm["uuid"]: vm for vm in (*placed, *stopped)}
    return sorted(found.values(), key=lambda vm: (vm["host_uuid"] is None, vm["name"], vm["uuid"]))


def _way(tx: Tx, vm: rows.Row, message: ChangeHostState) -> tuple[str, Move]:
    """How it would leave: by `MigrateVm`, by `LocalStorageMigrateVm`, or by that with a restart around it."""
    if vm["state"] == STOPPED:
        return "offline", move_anywhere(tx, vm["uuid"], lambda dest: move_vm(tx, vm["uuid"], dest, may_run=False))
    if vm["state"] != RUNNING:
        raise refused(f"it is {vm['state']}")
    try:
        return "live", move_running(tx, vm["uuid"], None)
    except ApiError as error:
        if not message.restart_vms:
            raise refused(f"{_innermost(error)}; or allow it to be restarted with restartVms=true") from error
    return "restart", move_anywhere(tx, vm["uuid"], lambda dest: move_vm(tx, vm["uuid"], dest, may_run=True))


def _innermost(error: ApiError) -> str:
    found = error.error
    while found.cause is not None:
        found = found.cause
    return found.details or found.description


async def maintain(op: Operation[World], message: ChangeHostState, show: Any) -> Json:
    uuid, db = message.uuid, op.world.db
    vms: list[str] = []

    async def look() -> list[str]:
        return await db.read(lambda tx: [vm["uuid"] for vm in _vms_on(tx, message)])

    async def start_again() -> None:
        for vm in vms:
            await _start_again(op, vm)

    def begin(tx: Tx) -> str:
        must_be_drainable(tx, message)
        state = str(host_row(tx, uuid)["state"])
        rows.update(tx, "HostVO", uuid, state=PREPARING)
        return state

    def abandon(tx: Tx, state: str) -> None:
        rows.update_where(tx, "HostVO", {"uuid": uuid, "state": PREPARING}, state=state)

    def finish(tx: Tx) -> Json:
        if left := rows.find(tx, "VmInstanceVO", host_uuid=uuid):
            raise refused(f"VM {left[0]['name']} ({left[0]['uuid']}) came to the host meanwhile")
        rows.update(tx, "HostVO", uuid, state=IN_MAINTENANCE)
        result: Json = show(tx, uuid)
        return result

    vms = await op.step("look", look, start_again)  # its undo is the last: then the host may start VMs again
    await op.tx_step("begin", begin, abandon)
    for number, vm in enumerate(vms, 1):
        await _take_away(op, message, vm, f"{number} of {len(vms)}")
    return await op.commit("finish", finish)


async def _take_away(op: Operation[World], message: ChangeHostState, vm: str, number: str) -> None:
    """By operations whose uuids are born with this one, so that whoever takes it over finds them."""

    def decide(tx: Tx) -> Json:
        row = rows.get(tx, "VmInstanceVO", vm)
        root = rows.get(tx, "LocalStorageResourceRefVO", row["root_volume_uuid"]) if row else None
        if row is None or root is None or root["host_uuid"] != message.uuid:
            return {"way": "gone"}
        way, move = _way(tx, row, message)
        return {"way": way, "dest": move.dest["uuid"], "what": f"VM {row['name']} ({number})"}

    found = await op.step(f"way of {vm}", lambda: op.world.db.read(decide))
    calls: list[Api] = []
    if found["way"] == "live":
        calls = [MigrateVm(vm_instance_uuid=vm, host_uuid=found["dest"], bandwidth=message.bandwidth)]
    elif found["way"] in ("offline", "restart"):
        calls = [LocalStorageMigrateVm(vm_instance_uuid=vm, dest_host_uuid=found["dest"], bandwidth=message.bandwidth)]
    if found["way"] == "restart":
        calls = [StopVmInstance(uuid=vm), *calls, StartVmInstance(uuid=vm)]
    for call in calls:
        child = _child(op, call, vm)
        await op.step(
            f"{call.api_name()} {vm}",
            partial(_run, op, call, child, found["what"]),
            partial(_cancel, op, child),
            timeout=_LONGEST,
        )


def _child(op: Operation[World], call: Api, vm: str, label: str = "") -> str:
    return op.derive(f"{call.api_name()} {vm} {label}")


async def _run(op: Operation[World], call: Api, child: str, what: str) -> None:
    """Another operation, to its end. Raises its failure."""
    engine, name = _engine(op), call.api_name()
    if await engine.get(child) is None:
        await engine.submit(name, call.wire(), child, workflows[name].queue(call), account=op.account)
    while True:
        status = await engine.wait(child, _LOOK)
        if status is None or status.ended:
            break
        done = status.progress or Progress(0, 0, name, 0)
        await op.progress(done.done, done.total, f"{what}: {done.text}", done.rate)
    if status is None or status.state != "done":
        error = ErrorCode.model_validate(status.error) if status and status.error else None
        raise ApiError("SYS.1006", f"{what} could not leave: {error.details if error else name}", error)


async def _cancel(op: Operation[World], child: str) -> None:
    engine = _engine(op)
    status = await engine.get(child)
    while status is not None and not status.ended:
        await engine.cancel(child)
        status = await engine.wait(child, _LOOK)


async def _start_again(op: Operation[World], vm: str) -> None:
    """A VM that we stopped and did not start runs again, wherever it is now."""
    if op.world.engine is None:
        return
    stop, start = StopVmInstance(uuid=vm), StartVmInstance(uuid=vm)
    ends = [await op.world.engine.get(_child(op, call, vm)) for call in (stop, start)]
    is_done = [end is not None and end.state == "done" for end in ends]
    row = await op.world.db.read(lambda tx: rows.get(tx, "VmInstanceVO", vm))
    if is_done == [True, False] and row is not None and row["state"] == STOPPED:
        await _run(op, start, _child(op, start, vm, "again"), f"VM {row['name']}")


def _engine(op: Operation[World]) -> Engine[World]:
    if op.world.engine is None:
        raise ApiError("SYS.1000", "this control plane runs no operations")
    return op.world.engine
