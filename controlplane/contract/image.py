"""An image: a root volume template, a data volume template or an ISO, kept in an image store and copied to hosts."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from controlplane.contract.base import (
    Api,
    ChangeState,
    Create,
    Date,
    DeleteRecoverable,
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

_PACKAGE = "org.zstack.header.image"
MediaType = Literal["RootVolumeTemplate", "DataVolumeTemplate", "ISO"]
Platform = Literal["Linux", "Windows", "Other", "Paravirtualization", "WindowsVirtio"]
ImageFormat = Literal["qcow2", "raw", "iso"]
BackupStorages = Annotated[list[Uuid], Field(min_length=1)]


class ImageBackupStorageRefInventory(Inventory):
    image_uuid: str
    backup_storage_uuid: str
    install_path: str
    status: str
    create_date: Date
    last_op_date: Date


class ImageInventory(Named):
    """`size` is the virtual size, `actualSize` the file's, both in bytes; `md5Sum` and `sha256` are of the file."""

    state: str
    status: str
    size: int = 0
    actual_size: int = 0
    md5_sum: str | None = None
    sha256: str | None = None
    url: str
    media_type: str
    guest_os_type: str | None = None
    type: str
    platform: str
    format: str
    system: bool = False
    backup_storage_refs: list[ImageBackupStorageRefInventory] = []


@api
class AddImage(Create):
    """`url`: `http://`, `https://`, `file://` (below a directory the operator allowed) or `upload://<any name>`, after
    which the file is sent with `PUT /v1/images/{uuid}/file`. With `sha256` (64 hex digits) the file must match it."""

    route = Route("POST", "/images")
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    result = ImageInventory
    creates = "ImageVO"
    references = {"backup_storage_uuids": "BackupStorageVO"}
    name: Name
    url: Annotated[str, Field(min_length=1, max_length=1024)]
    format: ImageFormat
    backup_storage_uuids: BackupStorages
    description: Description | None = None
    media_type: MediaType | None = None  # ISO when the format is iso, else RootVolumeTemplate
    guest_os_type: Annotated[str, Field(max_length=255)] | None = None
    system: bool = False
    platform: Platform = "Linux"
    type: Literal["zstack"] = "zstack"
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None


class _Template(Create):
    """Without `backupStorageUuids` the image goes into every store of the zone."""

    package = _PACKAGE
    result: ClassVar[type[Wire] | None] = ImageInventory
    creates = "ImageVO"
    name: Name
    description: Description | None = None
    backup_storage_uuids: BackupStorages | None = None


class _RootTemplate(_Template):
    guest_os_type: Annotated[str, Field(max_length=255)] | None = None
    platform: Platform | None = None
    system: bool = False


@api
class CreateRootVolumeTemplateFromRootVolume(_RootTemplate):
    """An image with the content of a root volume, whose VM is stopped."""

    route = Route("POST", "/images/root-volume-templates/from/volumes/{rootVolumeUuid}")
    references = {"root_volume_uuid": "VolumeVO", "backup_storage_uuids": "BackupStorageVO"}
    root_volume_uuid: Uuid


@api
class CreateRootVolumeTemplateFromVolumeSnapshot(_RootTemplate):
    """An image with the content of a snapshot; its VM may run."""

    route = Route("POST", "/images/root-volume-templates/from/volume-snapshots/{snapshotUuid}")
    references = {"snapshot_uuid": "VolumeSnapshotVO", "backup_storage_uuids": "BackupStorageVO"}
    snapshot_uuid: Uuid


@api
class CreateDataVolumeTemplateFromVolume(_Template):
    """A template for data volumes with the content of a volume; a VM that has it is stopped."""

    route = Route("POST", "/images/data-volume-templates/from/volumes/{volumeUuid}")
    references = {"volume_uuid": "VolumeVO", "backup_storage_uuids": "BackupStorageVO"}
    volume_uuid: Uuid


@api
class UpdateImage(Update):
    route = Route("PUT", "/images/{uuid}/actions", "updateImage")
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    result = ImageInventory
    references = {"uuid": "ImageVO"}
    guest_os_type: Annotated[str, Field(max_length=255)] | None = None
    media_type: MediaType | None = None
    format: ImageFormat | None = None
    system: bool | None = None
    platform: Platform | None = None


@api
class ChangeImageState(ChangeState):
    route = Route("PUT", "/images/{uuid}/actions", "changeImageState")
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    result = ImageInventory
    references = {"uuid": "ImageVO"}


@api
class DeleteImage(DeleteRecoverable):
    """The image gets the status Deleted and can be recovered until it is expunged."""

    route = Route("DELETE", "/images/{uuid}")
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    changes = {"uuid": "ImageVO"}
    uuid: Uuid
    backup_storage_uuids: BackupStorages | None = None


@api
class ExpungeImage(Api):
    """Removes a deleted image for good; volumes made from it keep their hosts' copies."""

    route = Route("PUT", "/images/{imageUuid}/actions", "expungeImage")
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    changes = {"image_uuid": "ImageVO"}
    result_key = None
    image_uuid: Uuid
    backup_storage_uuids: BackupStorages | None = None


@api
class RecoverImage(Api):
    route = Route("PUT", "/images/{imageUuid}/actions", "recoverImage")
    package = _PACKAGE
    admin_only: ClassVar[bool] = False
    changes = {"image_uuid": "ImageVO"}
    result = ImageInventory
    references = {"image_uuid": "ImageVO"}
    image_uuid: Uuid
    backup_storage_uuids: BackupStorages | None = None


@api
class QueryImage(Query):
    route = Route("GET", "/images")
    package = _PACKAGE
    result = ImageInventory
    resource = "ImageVO"
