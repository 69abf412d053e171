"""What is refused of a migration, in the order and with the codes of the reference; decided in the caller's transaction."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from controlplane.contract.error import ApiError, invalid, refused
from controlplane.rules.cpu import GuestCpu, difference
from controlplane.rules.placement import Need, explain
from controlplane.rules.vm_state import STOPPED, must_allow
from controlplane.store import rows
from controlplane.store.allocation import Scope
from controlplane.store.database import Tx
from controlplane.workflows import global_config
from controlplane.workflows.inventories import must_get
from controlplane.workflows.vm_placement import why_not
from controlplane.workflows.volume_files import VolumeFile, files_of


@dataclass(frozen=True)
class Move:
    """Volumes of one host and one storage that go to another host together."""

    storage_uuid: str
    source: rows.Row  # of HostVO
    dest: rows.Row
    volumes: list[rows.Row]
    files: list[VolumeFile]
    needs_stop: bool

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    def json(self) -> dict[str, Any]:
        return {
            "storage_uuid": self.storage_uuid,
            "source": self.source["uuid"],
            "dest": self.dest["uuid"],
            "volumes": [volume["uuid"] for volume in self.volumes],
            "files": [file.json() for file in self.files],
            "size": self.size,
        }


def move_volume(tx: Tx, volume_uuid: str, dest_uuid: str, *, may_run: bool) -> Move:
    """Raises: SYS.1007, SYS.1006. `may_run`: that the VM is not stopped is told, not refused."""
    volume = must_get(tx, "VolumeVO", volume_uuid)
    source, storage = _place(tx, volume, dest_uuid)
    needs_stop = False
    if volume["type"] == "Data":
        if volume["vm_instance_uuid"]:
            vm = must_get(tx, "VmInstanceVO", volume["vm_instance_uuid"])
            raise invalid(
                f"{_name(volume)} is attached to VM {vm['name']} ({vm['uuid']}); detach it first", "volumeUuid"
            )
    else:
        vm = must_get(tx, "VmInstanceVO", volume["vm_instance_uuid"])
        needs_stop = _must_be_stopped(vm, may_run)
        if others := rows.find(tx, "VolumeVO", vm_instance_uuid=vm["uuid"], type="Data"):
            names = ", ".join(_name(other) for other in others)
            raise refused(
                f"VM {vm['name']} ({vm['uuid']}) still has {names} attached; detach them first, or move all of them "
                "together with LocalStorageMigrateVm"
            )
    return _move(tx, storage, source, dest_uuid, [volume], needs_stop)


def move_vm(tx: Tx, vm_uuid: str, dest_uuid: str, *, may_run: bool) -> Move:
    vm = must_get(tx, "VmInstanceVO", vm_uuid)
    volumes = rows.find(tx, "VolumeVO", vm_instance_uuid=vm_uuid, order_by=("device_id",))
    if not volumes:
        raise refused(f"VM {vm['name']} ({vm_uuid}) has no volume")
    places = [_place(tx, volume, dest_uuid) for volume in volumes]
    needs_stop = _must_be_stopped(vm, may_run)
    if len(set(places)) > 1:
        raise refused(f"the volumes of VM {vm['name']} ({vm_uuid}) lie on several hosts or storages; move them singly")
    (source, storage) = places[0]
    move = _move(tx, storage, source, dest_uuid, volumes, needs_stop)
    _must_fit(tx, vm, storage, dest_uuid)
    return move


def move_running(tx: Tx, vm_uuid: str, dest_uuid: str | None) -> Move:
    """Of a VM that goes on meanwhile. Without a destination the least used fit host is chosen."""
    vm = _that_may_move_running(tx, vm_uuid)
    if dest_uuid is not None:
        return _move_running(tx, vm, dest_uuid)
    return move_anywhere(tx, vm_uuid, lambda dest: _move_running(tx, vm, dest))


def running_vm_targets(tx: Tx, vm_uuid: str) -> list[tuple[rows.Row, str | None]]:
    """Each other host of the VM's storage, and why it cannot go there. Raises what stands in the way anywhere."""
    vm = _that_may_move_running(tx, vm_uuid)
    tried = _tried(tx, vm, lambda dest: _move_running(tx, vm, dest))
    return [(host, None if isinstance(found, Move) else found) for host, found in tried]


def move_anywhere(tx: Tx, vm_uuid: str, check: Callable[[str], Move]) -> Move:
    """To the least used host that `check` lets pass."""
    vm = must_get(tx, "VmInstanceVO", vm_uuid)
    reasons = {}
    for host, found in _tried(tx, vm, check):
        if isinstance(found, Move):
            return found
        reasons[host["name"]] = found
    raise ApiError("HOST_ALLOCATION.1000", f"no host can take over VM {vm['name']} ({vm_uuid}): {explain(reasons)}")


def _tried(tx: Tx, vm: rows.Row, check: Callable[[str], Move]) -> Iterator[tuple[rows.Row, Move | str]]:
    """Each other host of the VM's storage with the move there, or why it cannot be."""
    for host in _hosts_of_its_storage(tx, vm):
        try:
            yield host, check(host["uuid"])
        except ApiError as error:
            yield host, error.error.details


def _hosts_of_its_storage(tx: Tx, vm: rows.Row) -> list[rows.Row]:
    """All but its own, the least used first."""
    root = must_get(tx, "LocalStorageResourceRefVO", vm["root_volume_uuid"])
    parts = rows.find(tx, "LocalStorageHostRefVO", primary_storage_uuid=root["primary_storage_uuid"])
    hosts = rows.find(tx, "HostVO", uuid={part["host_uuid"] for part in parts} - {root["host_uuid"]})
    return sorted(hosts, key=lambda host: (-(host["available_memory_capacity"] or 0), host["uuid"]))


def _that_may_move_running(tx: Tx, vm_uuid: str) -> rows.Row:
    vm = must_get(tx, "VmInstanceVO", vm_uuid)
    must_allow("MigrateVm", vm_uuid, vm["state"])
    if not global_config.truth(tx, "localStoragePrimaryStorage", "liveMigrationWithStorage.allow"):
        raise refused(
            f"VM {vm['name']} ({vm['uuid']}) has its disks on a local storage, and the global configuration "
            "localStoragePrimaryStorage/liveMigrationWithStorage.allow does not let it move while it runs: set it to true, or "
            "stop the VM, move it with LocalStorageMigrateVm and start it again"
        )
    return vm


def _move_running(tx: Tx, vm: rows.Row, dest_uuid: str) -> Move:
    volumes = rows.find(tx, "VolumeVO", vm_instance_uuid=vm["uuid"], order_by=("device_id",))
    places = {_place(tx, volume, dest_uuid) for volume in volumes}
    if len(places) != 1:
        raise refused(f"the volumes of VM {vm['name']} ({vm['uuid']}) lie on several hosts or storages")
    ((source, storage),) = places
    move = _move(tx, storage, source, dest_uuid, volumes, False)
    _must_fit(tx, vm, storage, dest_uuid)
    if reason := difference(vm["cpu_mode"] or "none", _cpu(move.source), _cpu(move.dest)):
        raise refused(f"VM {vm['name']} ({vm['uuid']}) cannot go on on host {move.dest['name']}: {reason}")
    return move


def _cpu(host: rows.Row) -> GuestCpu:
    facts = json.loads(host["facts"] or "{}")
    return GuestCpu(
        host=host["name"],
        model=facts.get("cpu_model", ""),
        features=frozenset(facts.get("cpu_features", ())),
        domain_type=facts.get("domain_type", ""),
        qemu_version=facts.get("qemu_version", ""),
    )


def _must_fit(tx: Tx, vm: rows.Row, storage: str, dest_uuid: str) -> None:
    """The host could run it; its disks' room is another question."""
    vm_uuid = vm["uuid"]
    l3s = {nic["l3_network_uuid"] for nic in rows.find(tx, "VmNicVO", vm_instance_uuid=vm_uuid)}
    l2s = {l3["l2_network_uuid"] for l3 in rows.find(tx, "L3NetworkVO", uuid=l3s)} if l3s else set()
    need = Need(vm["cpu_num"], vm["memory_size"], 0, frozenset(l2s), storage)
    if reasons := why_not(tx, need, Scope(host_uuid=dest_uuid)):
        raise ApiError("HOST_ALLOCATION.1000", f"VM {vm['name']} ({vm_uuid}) could not run there: {explain(reasons)}")


def _place(tx: Tx, volume: rows.Row, dest_uuid: str) -> tuple[str, str]:
    """Where the volume lies: host and storage."""
    ref = rows.get(tx, "LocalStorageResourceRefVO", volume["uuid"])
    if ref is None:
        raise invalid(f"{_name(volume)} is not on a local storage", "volumeUuid")
    source, storage = str(ref["host_uuid"]), str(ref["primary_storage_uuid"])
    if source == dest_uuid:
        raise invalid(f"{_name(volume)} is on host {dest_uuid} already", "destHostUuid")
    if not rows.exists(tx, "LocalStorageHostRefVO", primary_storage_uuid=storage, host_uuid=dest_uuid):
        raise invalid(f"host {dest_uuid} has no part of primary storage {storage}", "destHostUuid")
    if volume["status"] != "Ready":
        raise invalid(f"{_name(volume)} is {volume['status']}, it must be Ready", "volumeUuid")
    return source, storage


def _must_be_stopped(vm: rows.Row, may_run: bool) -> bool:
    if vm["state"] == STOPPED:
        return False
    if may_run and vm["state"] in ("Running", "Starting", "Stopping", "Rebooting"):
        return True
    raise refused(f"VM {vm['name']} ({vm['uuid']}) is {vm['state']}, it must be Stopped; stop it first")


def _move(
    tx: Tx, storage_uuid: str, source_uuid: str, dest_uuid: str, volumes: list[rows.Row], needs_stop: bool
) -> Move:
    storage = must_get(tx, "PrimaryStorageVO", storage_uuid)
    if storage["state"] != "Enabled":
        raise refused(f"primary storage {storage['name']} ({storage_uuid}) is {storage['state']}, it must be Enabled")
    source, dest = must_get(tx, "HostVO", source_uuid), must_get(tx, "HostVO", dest_uuid)
    if dest["state"] != "Enabled":
        raise refused(f"host {dest['name']} ({dest_uuid}) is {dest['state']}, it must be Enabled")
    for host in (dest, source):
        if host["status"] != "Connected":
            raise refused(f"host {host['name']} ({host['uuid']}) is {host['status']}, it must be Connected")
    files = [file for volume in volumes for file in files_of(tx, volume)]
    move = Move(storage_uuid, source, dest, volumes, files, needs_stop)
    part = rows.find_one(tx, "LocalStorageHostRefVO", primary_storage_uuid=storage_uuid, host_uuid=dest_uuid)
    if part is None or part["available_capacity"] < move.size:
        raise no_room(move.size, dest, part["available_capacity"] if part else 0)
    return move


def no_room(size: int, dest: rows.Row, available: int) -> ApiError:
    return refused(f"host {dest['name']} ({dest['uuid']}) has {max(available, 0)} bytes available, {size} are needed")


def _name(volume: rows.Row) -> str:
    return f"volume {volume['name']} ({volume['uuid']})"
