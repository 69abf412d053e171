"""A snapshot of a volume: what it held at one moment. Snapshots form trees; the volume rests on the one that is `latest`."""

from typing import ClassVar, Literal

from controlplane.contract.base import (
    Api,
    Create,
    Date,
    Delete,
    Description,
    Inventory,
    Name,
    Named,
    Query,
    Route,
    Update,
    Uuid,
    Wire,
)
from controlplane.contract.registry import api
from controlplane.contract.volume import VolumeInventory

_PACKAGE = "org.zstack.header.storage.snapshot"


class VolumeSnapshotInventory(Named):
    """`size` is what its file takes, in bytes."""

    type: str
    volume_uuid: str
    tree_uuid: str
    parent_uuid: str | None = None
    primary_storage_uuid: str
    primary_storage_install_path: str
    volume_type: str
    format: str
    latest: bool
    size: int
    state: str
    status: str
    group_uuid: str | None = None


class SnapshotLeaf(Wire):
    """A snapshot and those that were taken after it."""

    inventory: VolumeSnapshotInventory
    parent_uuid: str | None = None
    children: list["SnapshotLeaf"] = []


class VolumeSnapshotTreeInventory(Inventory):
    """`current`: the volume rests on a snapshot of this tree."""

    uuid: str
    volume_uuid: str
    current: bool
    tree: SnapshotLeaf | None = None
    create_date: Date
    last_op_date: Date


class VolumeSnapshotGroupInventory(Named):
    """Snapshots of all disks of a VM, taken at one instant."""

    vm_instance_uuid: str
    snapshot_count: int
    volume_snapshots: list[VolumeSnapshotInventory] = []


@api
class CreateVolumeSnapshot(Create):
    """Of a running guest's disk too; its file systems are quiesced when a guest agent answers."""

    route = Route("POST", "/volumes/{volumeUuid}/volume-snapshots")
    package = "org.zstack.header.volume"
    admin_only: ClassVar[bool] = False
    result = VolumeSnapshotInventory
    creates = "VolumeSnapshotVO"
    references = {"volume_uuid": "VolumeVO"}
    volume_uuid: Uuid
    name: Name
    description: Description | None = None


@api
class CreateVolumeSnapshotGroup(Create):
    """Snapshots of all disks of the VM that has this root volume, taken at one instant."""

    route = Route("POST", "/volume-snapshots/group")
    package = "org.zstack.header.volume"
    result = VolumeSnapshotGroupInventory
    creates = "VolumeSnapshotGroupVO"
    references = {"root_volume_uuid": "VolumeVO"}
    root_volume_uuid: Uuid
    name: Name
    description: Description | None = None


@api
class UpdateVolumeSnapshot(Update):
    route = Route("PUT", "/volume-snapshots/{uuid}/actions", "updateVolumeSnapshot")
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    result = VolumeSnapshotInventory
    references = {"uuid": "VolumeSnapshotVO"}


@api
class RevertVolumeFromSnapshot(Api):
    """The volume holds again what the snapshot does; what was written since is lost. Its VM must be stopped."""

    route = Route("PUT", "/volume-snapshots/{uuid}/actions", "revertVolumeFromSnapshot")
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    result_key = None
    references = {"uuid": "VolumeSnapshotVO"}
    uuid: Uuid


@api
class DeleteVolumeSnapshot(Delete):
    """Only this one: what was taken after it stays as it is, since it takes over what it needs."""

    route = Route("DELETE", "/volume-snapshots/{uuid}")
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    changes = {"uuid": "VolumeSnapshotVO"}
    uuid: Uuid


@api
class CreateDataVolumeFromVolumeSnapshot(Create):
    """A data volume of its own with the content of the snapshot, on the same host."""

    route = Route("POST", "/volumes/data/from/volume-snapshots/{volumeSnapshotUuid}")
    package = "org.zstack.header.volume"
    result = VolumeInventory
    creates = "VolumeVO"
    references = {"volume_snapshot_uuid": "VolumeSnapshotVO", "primary_storage_uuid": "PrimaryStorageVO"}
    volume_snapshot_uuid: Uuid
    name: Name
    primary_storage_uuid: Uuid | None = None
    description: Description | None = None


@api
class QueryVolumeSnapshot(Query):
    route = Route("GET", "/volume-snapshots")
    package = _PACKAGE
    result = VolumeSnapshotInventory
    resource = "VolumeSnapshotVO"


@api
class QueryVolumeSnapshotTree(Query):
    route = Route("GET", "/volume-snapshots/trees")
    package = _PACKAGE
    result = VolumeSnapshotTreeInventory
    resource = "VolumeSnapshotTreeVO"


@api
class QueryVolumeSnapshotGroup(Query):
    route = Route("GET", "/volume-snapshots/group")
    package = "org.zstack.header.storage.snapshot.group"
    result = VolumeSnapshotGroupInventory
    resource = "VolumeSnapshotGroupVO"


@api
class GetVolumeSnapshotTree(Api):
    """The trees of a volume, or one of them, with their snapshots."""

    kind: ClassVar[Literal["query", "read", "change"]] = "read"
    route = Route("GET", "/volume-snapshot-trees")
    package = _PACKAGE
    result = VolumeSnapshotTreeInventory
    result_key = "inventories"
    references = {"volume_uuid": "VolumeVO", "tree_uuid": "VolumeSnapshotTreeVO"}
    volume_uuid: Uuid | None = None
    tree_uuid: Uuid | None = None
