"""What a host says of its VMs, taken over into the database: guests that shut down, crashed, or were started by hand.

A VM that an operation works on (Starting, Stopping, …) belongs to that operation. A row is changed only if it is still as
it was when the host was asked, so a late answer never overwrites a newer truth.
"""

import logging
from collections.abc import Iterable

from controlplane.rules.vm_state import RUNNING, STOPPED, UNKNOWN
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows import left_standing
from controlplane.workflows.instance_offering import take_stopped
from controlplane.workflows.vm_placement import occupy, vacate
from controlplane.workflows.world import World
from hostagent.contract.event import Event
from hostagent.contract.vm import VmState

_SETTLED = (RUNNING, STOPPED, UNKNOWN)
_ON = {VmState.running, VmState.paused}
_OFF = {VmState.stopped, VmState.crashed}
log = logging.getLogger("steppe.hosts")
Known = dict[str, rows.Row]
Said = dict[str, VmState]  # by the host, of its VMs


async def inventory(world: World, host_uuid: str) -> Said:
    """Compare everything; returns what was said of VMs to look at again soon."""
    known = await world.db.read(lambda tx: _concerned(tx, host_uuid))
    told = {status.uuid: status.state for status in await world.hosts.get(host_uuid).list_vms()}
    absent = {uuid: VmState.stopped for uuid, vm in known.items() if vm["host_uuid"] == host_uuid and uuid not in told}
    if strangers := await world.db.read(lambda tx: _strangers(tx, set(told) - set(known))):
        log.warning("host %s has VMs that are not in the database: %s", host_uuid, ", ".join(sorted(strangers)))
    still = {uuid for uuid, state in told.items() if state is VmState.paused}
    await left_standing.end(world, host_uuid, still)
    busy = await _take_over(world, host_uuid, known, told | absent)
    await left_standing.go_on(world, host_uuid, still)
    return busy


async def observe(world: World, host_uuid: str, events: Iterable[Event], before: Said) -> Said:
    """Follow up on events and on what was said of VMs that were busy; returns it for those that still are.

    The host is asked only when it said something else than the database: a start by an operation costs nothing."""
    events = list(events)
    said = before | {event.vm_uuid: event.state for event in events}
    if rebooted := [event.vm_uuid for event in events if event.reason == "reboot"]:
        await world.db.write(lambda tx: rows.update_where(tx, "VmInstanceVO", {"uuid": rebooted}, has_rebooted=True))
    known = await world.db.read(lambda tx: _concerned(tx, host_uuid, set(said)))
    told: Said = {}
    for uuid, vm in known.items():
        if vm["state"] in _SETTLED and (_differs(vm, said[uuid]) or said[uuid] is VmState.unknown):
            status = await world.hosts.get(host_uuid).get_vm(uuid)
            told[uuid] = status.state if status else VmState.stopped
    busy = {uuid: said[uuid] for uuid, vm in known.items() if vm["state"] not in _SETTLED}
    return busy | await _take_over(world, host_uuid, known, told)


def _concerned(tx: Tx, host_uuid: str, uuids: set[str] | None = None) -> Known:
    """VMs that are on this host, and stopped ones that were last."""
    if uuids is None:
        found = rows.find(tx, "VmInstanceVO", host_uuid=host_uuid)
        found += rows.find(tx, "VmInstanceVO", last_host_uuid=host_uuid, host_uuid=None, state=STOPPED)
    else:
        found = rows.find(tx, "VmInstanceVO", uuid=uuids) if uuids else []
    left = (None, host_uuid, STOPPED)
    return {
        vm["uuid"]: vm
        for vm in found
        if vm["host_uuid"] == host_uuid or (vm["host_uuid"], vm["last_host_uuid"], vm["state"]) == left
    }


def _strangers(tx: Tx, uuids: set[str]) -> set[str]:
    if not uuids:
        return set()
    return uuids - {vm["uuid"] for vm in rows.find(tx, "VmInstanceVO", uuid=uuids)}


def _differs(vm: rows.Row, state: VmState) -> bool:
    return (state in _ON and vm["state"] != RUNNING) or (state in _OFF and vm["state"] != STOPPED)


async def _take_over(world: World, host_uuid: str, known: Known, told: Said) -> Said:
    different = {uuid: state for uuid, state in told.items() if uuid in known and _differs(known[uuid], state)}
    busy = {uuid: state for uuid, state in different.items() if known[uuid]["state"] not in _SETTLED}
    changes = {uuid: state for uuid, state in different.items() if uuid not in busy}
    if changes:
        await world.db.write(lambda tx: _change(tx, host_uuid, known, changes))
        await world.network.settle(host_uuid)
    return busy


def _change(tx: Tx, host_uuid: str, known: Known, changes: Said) -> None:
    for uuid, told in changes.items():
        vm = rows.lock(tx, "VmInstanceVO", uuid)
        if vm is None or any(vm[name] != known[uuid][name] for name in ("state", "host_uuid", "generation")):
            continue  # an operation was quicker
        if told in _ON:
            occupy(tx, uuid, host_uuid)
            rows.update(tx, "VmInstanceVO", uuid, state=RUNNING)
        else:
            vacate(tx, uuid)
            take_stopped(tx, uuid)
            rows.update(tx, "VmInstanceVO", uuid, state=STOPPED, last_host_uuid=host_uuid)
        log.warning("VM %s (%s) was %s and is %s on host %s", vm["name"], uuid, vm["state"], told, host_uuid)


def lose_contact(tx: Tx, host_uuid: str) -> None:
    """Nobody knows whether they run: they stay placed, so nothing else takes their room or their addresses."""
    rows.update_where(tx, "VmInstanceVO", {"host_uuid": host_uuid, "state": RUNNING}, state=UNKNOWN)
