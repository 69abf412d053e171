"""What is refused of a migration before anything is stored, and where a volume may go."""

from typing import Any

from controlplane.contract.host import HostInventory
from controlplane.contract.migration import (
    ExcludedHost,
    GetVmMigrationCandidateHosts,
    LocalStorageGetVolumeMigratableHosts,
    LocalStorageMigrateVm,
    LocalStorageMigrateVolume,
    MigratableHosts,
    MigrateVm,
)
from controlplane.rules.migration import Target, unfit
from controlplane.services.registry import Caller, answers, checks
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows.inventories import must_get
from controlplane.workflows.migration_rules import move_running, move_vm, move_volume, running_vm_targets
from controlplane.workflows.volume_files import files_of
from controlplane.workflows.world import World


@checks(LocalStorageMigrateVolume)
def volume_can_be_moved(tx: Tx, message: LocalStorageMigrateVolume) -> None:
    move_volume(tx, message.volume_uuid, message.dest_host_uuid, may_run=message.dry_run)


@checks(LocalStorageMigrateVm)
def vm_can_be_moved(tx: Tx, message: LocalStorageMigrateVm) -> None:
    move_vm(tx, message.vm_instance_uuid, message.dest_host_uuid, may_run=message.dry_run or message.prepare)


@checks(MigrateVm)
def running_vm_can_be_moved(tx: Tx, message: MigrateVm) -> None:
    move_running(tx, message.vm_instance_uuid, message.host_uuid)


@answers(GetVmMigrationCandidateHosts)
async def candidate_hosts(world: World, _caller: Caller, message: GetVmMigrationCandidateHosts) -> dict[str, Any]:
    def read(tx: Tx) -> MigratableHosts:
        fit, excluded = [], []
        for host, reason in running_vm_targets(tx, message.vm_instance_uuid):
            if reason is None:
                fit.append(HostInventory.model_validate(host))
            else:
                excluded.append(ExcludedHost(host_uuid=host["uuid"], name=host["name"], reason=reason))
        return MigratableHosts(inventories=fit, excluded=excluded)

    return (await world.db.read(read)).wire()


@answers(LocalStorageGetVolumeMigratableHosts)
async def migratable_hosts(
    world: World, _caller: Caller, message: LocalStorageGetVolumeMigratableHosts
) -> dict[str, Any]:
    """A volume that is on no local storage can go nowhere, which is no error."""

    def read(tx: Tx) -> MigratableHosts:
        volume = must_get(tx, "VolumeVO", message.volume_uuid)
        ref = rows.get(tx, "LocalStorageResourceRefVO", volume["uuid"])
        if ref is None:
            return MigratableHosts(inventories=[], excluded=[])
        needed = sum(file.size for file in files_of(tx, volume))
        storage = must_get(tx, "PrimaryStorageVO", ref["primary_storage_uuid"])
        parts = {
            part["host_uuid"]: part
            for part in rows.find(tx, "LocalStorageHostRefVO", primary_storage_uuid=storage["uuid"])
        }
        fit, excluded = [], []
        for host in rows.find(tx, "HostVO", zone_uuid=storage["zone_uuid"], order_by=("name",)):
            reason = unfit(_target(host, parts.get(host["uuid"])), ref["host_uuid"], needed)
            if reason is None:
                fit.append(HostInventory.model_validate(host))
            else:
                excluded.append(ExcludedHost(host_uuid=host["uuid"], name=host["name"], reason=reason))
        return MigratableHosts(inventories=fit, excluded=excluded)

    return (await world.db.read(read)).wire()


def _target(host: rows.Row, part: rows.Row | None) -> Target:
    if part is None:
        return Target(host["uuid"], host["state"], host["status"], has_part=False)
    return Target(
        host_uuid=host["uuid"],
        state=host["state"],
        status=host["status"],
        has_part=True,
        available=part["available_capacity"],
        total_physical=part["total_physical_capacity"],
        available_physical=part["available_physical_capacity"],
    )
