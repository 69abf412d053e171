"""What is refused of an image before anything is stored."""

from controlplane.contract.error import ApiError, invalid, refused
from controlplane.contract.image import (
    AddImage,
    CreateDataVolumeTemplateFromVolume,
    CreateRootVolumeTemplateFromRootVolume,
    CreateRootVolumeTemplateFromVolumeSnapshot,
    ExpungeImage,
    RecoverImage,
    UpdateImage,
)
from controlplane.services.registry import Caller, checks, permits
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows.image import check_expunge, usable_stores
from controlplane.workflows.image_source import check_url
from controlplane.workflows.image_template import check_snapshot, check_volume, stores_for


@permits(AddImage)
def may_read(_tx: Tx, caller: Caller, message: AddImage) -> None:
    if not caller.is_admin and message.url.lower().startswith("file:"):
        raise ApiError("ID.1002", "only an administrator may add an image from a file of the control plane")


@checks(AddImage)
def can_be_added(tx: Tx, message: AddImage) -> None:
    if (message.media_type == "ISO") != (message.format == "iso") and message.media_type is not None:
        raise invalid(f"mediaType {message.media_type} and format {message.format} exclude each other", "mediaType")
    check_url(message.url)
    usable_stores(tx, message.backup_storage_uuids)


@checks(UpdateImage)
def format_stays(tx: Tx, message: UpdateImage) -> None:
    image = rows.get(tx, "ImageVO", message.uuid)
    if image and message.format and message.format != image["format"]:
        raise invalid(
            f"format is {image['format']} as verified when the image was added; it cannot be changed", "format"
        )
    if image and message.media_type and (message.media_type == "ISO") != (image["format"] == "iso"):
        raise invalid(f"mediaType {message.media_type} and format {image['format']} exclude each other", "mediaType")


@checks(ExpungeImage)
def is_deleted(tx: Tx, message: ExpungeImage) -> None:
    if rows.exists(tx, "ImageVO", uuid=message.image_uuid):
        check_expunge(tx, message.image_uuid, message.backup_storage_uuids)


@checks(RecoverImage)
def can_be_recovered(tx: Tx, message: RecoverImage) -> None:
    if not rows.exists(tx, "ImageBackupStorageRefVO", image_uuid=message.image_uuid, status="Deleted"):
        raise refused(f"image {message.image_uuid} is not deleted")


@checks(CreateRootVolumeTemplateFromRootVolume)
def root_can_become_an_image(tx: Tx, message: CreateRootVolumeTemplateFromRootVolume) -> None:
    volume, _ = check_volume(tx, message.root_volume_uuid, message, settled=False)
    stores_for(tx, message, volume)


@checks(CreateDataVolumeTemplateFromVolume)
def volume_can_become_an_image(tx: Tx, message: CreateDataVolumeTemplateFromVolume) -> None:
    volume, _ = check_volume(tx, message.volume_uuid, message, settled=False)
    stores_for(tx, message, volume)


@checks(CreateRootVolumeTemplateFromVolumeSnapshot)
def snapshot_can_become_an_image(tx: Tx, message: CreateRootVolumeTemplateFromVolumeSnapshot) -> None:
    volume, _ = check_snapshot(tx, message.snapshot_uuid, settled=False)
    stores_for(tx, message, volume)
