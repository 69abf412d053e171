"""Storages: primary storage (directories on the hosts, for volumes) and image stores (a directory of the control plane)."""

from typing import Annotated, ClassVar

from pydantic import Field

from controlplane.contract.base import (
    Api,
    ChangeState,
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

_PRIMARY = "org.zstack.header.storage.primary"
_LOCAL = "org.zstack.storage.primary.local"
_BACKUP = "org.zstack.header.storage.backup"
_SFTP = "org.zstack.storage.backup.sftp"
Url = Annotated[str, Field(min_length=1, max_length=2048)]


class PrimaryStorageInventory(Named):
    """Capacities are bytes, summed over connected hosts; `Physical` is what the file systems say."""

    zone_uuid: str
    url: str
    mount_path: str
    type: str
    state: str
    status: str
    total_capacity: int = 0
    available_capacity: int = 0
    total_physical_capacity: int = 0
    available_physical_capacity: int = 0
    system_used_capacity: int = 0
    attached_cluster_uuids: list[str] = []


class LocalStorageResourceRefInventory(Inventory):
    resource_uuid: str
    resource_type: str
    primary_storage_uuid: str
    host_uuid: str
    size: int
    create_date: Date
    last_op_date: Date


class BackupStorageInventory(Named):
    url: str
    type: str
    state: str
    status: str
    total_capacity: int = 0
    available_capacity: int = 0
    attached_zone_uuids: list[str] = []
    hostname: str | None = None
    username: str | None = None


class StorageCapacity(Wire):
    total_capacity: int
    available_capacity: int
    total_physical_capacity: int
    available_physical_capacity: int


class ImageStoreCapacity(Wire):
    total_capacity: int
    available_capacity: int


class HostDiskCapacity(StorageCapacity):
    host_uuid: str


class HostDiskCapacities(Wire):
    """The members of the one host asked for stand beside the list."""

    inventories: list[HostDiskCapacity]
    host_uuid: str | None = None
    total_capacity: int | None = None
    available_capacity: int | None = None
    total_physical_capacity: int | None = None
    available_physical_capacity: int | None = None


# -- primary storage ---------------------------------------------------------------------------------------------


@api
class AddLocalPrimaryStorage(Create):
    """`url` is the absolute path of a directory, the same on every host of the clusters it is attached to."""

    route = Route("POST", "/primary-storage/local-storage")
    package = _LOCAL
    answer: ClassVar[str | None] = "APIAddPrimaryStorageEvent"
    result = PrimaryStorageInventory
    creates = "PrimaryStorageVO"
    references = {"zone_uuid": "ZoneVO"}
    name: Name
    url: Url
    zone_uuid: Uuid
    description: Description | None = None
    type: str | None = None


@api
class UpdatePrimaryStorage(Update):
    route = Route("PUT", "/primary-storage/{uuid}/actions", "updatePrimaryStorage")
    package = _PRIMARY
    result = PrimaryStorageInventory
    references = {"uuid": "PrimaryStorageVO"}


@api
class ChangePrimaryStorageState(ChangeState):
    route = Route("PUT", "/primary-storage/{uuid}/actions", "changePrimaryStorageState")
    package = _PRIMARY
    result = PrimaryStorageInventory
    references = {"uuid": "PrimaryStorageVO"}


@api
class ReconnectPrimaryStorage(Api):
    """Ensures the directory on every connected host and measures it."""

    route = Route("PUT", "/primary-storage/{uuid}/actions", "reconnectPrimaryStorage")
    package = _PRIMARY
    result = PrimaryStorageInventory
    references = {"uuid": "PrimaryStorageVO"}
    uuid: Uuid


@api
class AttachPrimaryStorageToCluster(Api):
    route = Route("POST", "/clusters/{clusterUuid}/primary-storage/{primaryStorageUuid}", no_body=True)
    package = _PRIMARY
    result = PrimaryStorageInventory
    references = {"cluster_uuid": "ClusterVO", "primary_storage_uuid": "PrimaryStorageVO"}
    cluster_uuid: Uuid
    primary_storage_uuid: Uuid


@api
class DetachPrimaryStorageFromCluster(Api):
    """Refused while volumes of the cluster's hosts lie on it: data is never left behind silently."""

    route = Route("DELETE", "/clusters/{clusterUuid}/primary-storage/{primaryStorageUuid}")
    package = _PRIMARY
    result = PrimaryStorageInventory
    references = {"cluster_uuid": "ClusterVO", "primary_storage_uuid": "PrimaryStorageVO"}
    cluster_uuid: Uuid
    primary_storage_uuid: Uuid


@api
class DeletePrimaryStorage(Delete):
    """Refused while attached to a cluster or holding volumes. The directories on the hosts stay."""

    route = Route("DELETE", "/primary-storage/{uuid}")
    package = _PRIMARY
    uuid: Uuid


@api
class QueryPrimaryStorage(Query):
    route = Route("GET", "/primary-storage")
    package = _PRIMARY
    result = PrimaryStorageInventory
    resource = "PrimaryStorageVO"


@api
class GetPrimaryStorageCapacity(Api):
    kind = "read"
    route = Route("GET", "/primary-storage/capacities")
    package = _PRIMARY
    result = StorageCapacity
    result_key = None
    references = {"zone_uuids": "ZoneVO", "cluster_uuids": "ClusterVO", "primary_storage_uuids": "PrimaryStorageVO"}
    zone_uuids: list[Uuid] | None = None
    cluster_uuids: list[Uuid] | None = None
    primary_storage_uuids: list[Uuid] | None = None
    all: bool = False


@api
class QueryLocalStorageResourceRef(Query):
    route = Route("GET", "/primary-storage/local-storage/resource-refs")
    package = _LOCAL
    result = LocalStorageResourceRefInventory
    resource = "LocalStorageResourceRefVO"


@api
class GetLocalStorageHostDiskCapacity(Api):
    kind = "read"
    route = Route("GET", "/primary-storage/local-storage/{primaryStorageUuid}/capacities")
    package = _LOCAL
    result = HostDiskCapacities
    result_key = None
    references = {"primary_storage_uuid": "PrimaryStorageVO", "host_uuid": "HostVO"}
    primary_storage_uuid: Uuid
    host_uuid: Uuid | None = None


# -- image stores ------------------------------------------------------------------------------------------------


@api
class AddImageStoreBackupStorage(Create):
    """`url` names a directory below the control plane's image directory, e.g. `/images`."""

    route = Route("POST", "/backup-storage/image-store")
    package = "org.zstack.storage.backup.imagestore"
    result = BackupStorageInventory
    creates = "BackupStorageVO"
    name: Name
    url: Url
    description: Description | None = None


@api
class AddSftpBackupStorage(Create):
    """An image store in the words of older clients: the control plane keeps the images itself, so `username` and
    `password` are accepted, never used or kept; `hostname` is shown as it was given."""

    route = Route("POST", "/backup-storage/sftp")
    package = _SFTP
    result = BackupStorageInventory
    creates = "BackupStorageVO"
    secrets = {"password": "plain"}
    name: Name
    url: Url
    hostname: Annotated[str, Field(min_length=1, max_length=255)]
    username: Annotated[str, Field(max_length=255)] | None = None
    password: Annotated[str, Field(max_length=255)] | None = None
    ssh_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    description: Description | None = None
    type: str | None = None


@api
class ReconnectBackupStorage(Api):
    """Ensures the directory and measures it."""

    route = Route("PUT", "/backup-storage/{uuid}/actions", "reconnectBackupStorage")
    package = _BACKUP
    result = BackupStorageInventory
    references = {"uuid": "BackupStorageVO"}
    uuid: Uuid


@api
class ReconnectSftpBackupStorage(ReconnectBackupStorage):
    route = Route("PUT", "/backup-storage/sftp/{uuid}/actions", "reconnectSftpBackupStorage")
    package = _SFTP


@api
class UpdateBackupStorage(Update):
    route = Route("PUT", "/backup-storage/{uuid}/actions", "updateBackupStorage")
    package = _BACKUP
    result = BackupStorageInventory
    references = {"uuid": "BackupStorageVO"}


@api
class ChangeBackupStorageState(ChangeState):
    route = Route("PUT", "/backup-storage/{uuid}/actions", "changeBackupStorageState")
    package = _BACKUP
    result = BackupStorageInventory
    references = {"uuid": "BackupStorageVO"}


@api
class AttachBackupStorageToZone(Api):
    route = Route("POST", "/zones/{zoneUuid}/backup-storage/{backupStorageUuid}", no_body=True)
    package = _BACKUP
    result = BackupStorageInventory
    references = {"zone_uuid": "ZoneVO", "backup_storage_uuid": "BackupStorageVO"}
    zone_uuid: Uuid
    backup_storage_uuid: Uuid


@api
class DetachBackupStorageFromZone(Api):
    route = Route("DELETE", "/zones/{zoneUuid}/backup-storage/{backupStorageUuid}")
    package = _BACKUP
    result = BackupStorageInventory
    references = {"zone_uuid": "ZoneVO", "backup_storage_uuid": "BackupStorageVO"}
    zone_uuid: Uuid
    backup_storage_uuid: Uuid


@api
class DeleteBackupStorage(Delete):
    """Refused while it holds images that are not deleted; `Enforcing` removes those too."""

    route = Route("DELETE", "/backup-storage/{uuid}")
    package = _BACKUP
    uuid: Uuid


@api
class QueryBackupStorage(Query):
    route = Route("GET", "/backup-storage")
    package = _BACKUP
    result = BackupStorageInventory
    resource = "BackupStorageVO"


@api
class QuerySftpBackupStorage(Query):
    route = Route("GET", "/backup-storage/sftp")
    package = _SFTP
    result = BackupStorageInventory
    resource = "BackupStorageVO"


@api
class GetBackupStorageCapacity(Api):
    kind = "read"
    route = Route("GET", "/backup-storage/capacities")
    package = _BACKUP
    result = ImageStoreCapacity
    result_key = None
    references = {"zone_uuids": "ZoneVO", "backup_storage_uuids": "BackupStorageVO"}
    zone_uuids: list[Uuid] | None = None
    backup_storage_uuids: list[Uuid] | None = None
    all: bool = False
