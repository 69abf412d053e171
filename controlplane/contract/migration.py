"""Moving volumes between the local storages of hosts, with their snapshots. The VM is off, or the volume is detached; a VM
that runs goes on meanwhile by MigrateVm."""

from typing import ClassVar, Literal

from controlplane.contract.base import Api, Route, Uuid, Wire
from controlplane.contract.host import Bandwidth, HostInventory
from controlplane.contract.registry import api
from controlplane.contract.storage import LocalStorageResourceRefInventory
from controlplane.contract.vm import VmInstanceInventory

_LOCAL = "org.zstack.storage.primary.local"


class MovedFile(Wire):
    path: str
    bytes: int


class MigrationPlan(Wire):
    """What a migration would do. `bytes` are what is allocated now; a base image that the destination lacks comes on top.
    `needsStop`: the VM is not stopped yet, which it must be."""

    source_host_uuid: str
    source_host_name: str
    dest_host_uuid: str
    dest_host_name: str
    bytes: int
    files: list[MovedFile]
    needs_stop: bool = False


class MigratedRefInventory(LocalStorageResourceRefInventory):
    plan: MigrationPlan | None = None  # of a dry run


class MigratedVmInventory(VmInstanceInventory):
    plan: MigrationPlan | None = None  # of a dry run


class ExcludedHost(Wire):
    host_uuid: str
    name: str
    reason: str


class MigratableHosts(Wire):
    """Where the volume may go, and for every other host of its zone why not."""

    inventories: list[HostInventory]
    excluded: list[ExcludedHost]


@api
class LocalStorageMigrateVolume(Api):
    """A root volume of a stopped VM without data volumes, or a detached data volume, with all its snapshots. `dryRun`
    checks and says in `plan` what would be copied; a VM that still runs is then no error but `needsStop`."""

    route = Route(
        "PUT", "/primary-storage/local-storage/volumes/{volumeUuid}/actions", "localStorageMigrateVolume"
    )  # fmt: skip
    package = _LOCAL
    result = MigratedRefInventory
    references = {"volume_uuid": "VolumeVO", "dest_host_uuid": "HostVO"}
    volume_uuid: Uuid
    dest_host_uuid: Uuid
    bandwidth: Bandwidth | None = None
    dry_run: bool = False


@api
class LocalStorageMigrateVm(Api):
    """All volumes of a stopped VM as one: the destination must be able to run it. `dryRun` as for one volume. `prepare` only
    brings the images that the VM needs there, while it may still run: it is stopped for so much less time afterwards."""

    route = Route("PUT", "/vm-instances/{vmInstanceUuid}/actions", "localStorageMigrateVm")
    package = _LOCAL
    result = MigratedVmInventory
    references = {"vm_instance_uuid": "VmInstanceVO", "dest_host_uuid": "HostVO"}
    vm_instance_uuid: Uuid
    dest_host_uuid: Uuid
    bandwidth: Bandwidth | None = None
    dry_run: bool = False
    prepare: bool = False


@api
class MigrateVm(Api):
    """A running VM goes on on another host, with its disks; the guest notices a pause of less than a second. Only where
    `localStoragePrimaryStorage/liveMigrationWithStorage.allow` says so, and to a host whose CPU the guest can go on with.
    Without `hostUuid` the least used fit host is chosen. `dryRun` checks and says in `plan` what would be copied."""

    route = Route("PUT", "/vm-instances/{vmInstanceUuid}/actions", "migrateVm")
    package = "org.zstack.header.vm"
    result = MigratedVmInventory
    references = {"vm_instance_uuid": "VmInstanceVO", "host_uuid": "HostVO"}
    vm_instance_uuid: Uuid
    host_uuid: Uuid | None = None
    bandwidth: Bandwidth | None = None
    dry_run: bool = False


@api
class GetVmMigrationCandidateHosts(Api):
    """Where MigrateVm may take a running VM now, and for every other host of its storage why not."""

    kind: ClassVar[Literal["query", "read", "change"]] = "read"
    route = Route("GET", "/vm-instances/{vmInstanceUuid}/migration-target-hosts")
    package = "org.zstack.header.vm"
    result = MigratableHosts
    result_key = None
    references = {"vm_instance_uuid": "VmInstanceVO"}
    vm_instance_uuid: Uuid


@api
class LocalStorageGetVolumeMigratableHosts(Api):
    kind: ClassVar[Literal["query", "read", "change"]] = "read"
    route = Route("GET", "/volumes/{volumeUuid}/migration-target-hosts")
    package = _LOCAL
    answer: ClassVar[str | None] = "APILocalStorageGetVolumeMigratableReply"
    result = MigratableHosts
    result_key = None
    references = {"volume_uuid": "VolumeVO"}
    volume_uuid: Uuid
