"""steppe_image_store: where the control plane keeps images."""

from provider.framework import validate
from provider.framework.plan import Object
from provider.framework.schema import Schema, computed, optional, required
from provider.framework.types import STRING
from provider.resources.base import Links, Table, identity, references, timeouts
from provider.resources.enablement import state


class ImageStore(Table):
    type_name = "steppe_image_store"
    collection = "backup-storage"
    update_action = "updateBackupStorage"
    delete_api = "DeleteBackupStorage"
    state_action = "changeBackupStorageState"
    creates_with = ("url", "hostname")
    links = (
        Links(
            "zone_uuids",
            "attachedZoneUuids",
            "zones/{target}/backup-storage/{uuid}",
            "AttachBackupStorageToZone",
            "DetachBackupStorageFromZone",
        ),
    )
    schema = Schema(
        identity("image store")
        | {
            "url": required(
                STRING,
                "Directory below the control plane's image directory, e.g. `/images`.",
                replace=True,
                validators=(validate.length(1, 2048),),
            ),
            "hostname": optional(
                STRING,
                "In the words of older clients: the machine that keeps the images, shown as given, one store each.",
                replace=True,
                validators=(validate.length(1, 255),),
            ),
            "zone_uuids": references("", "UUIDs of the zones whose hosts may fetch images from the store."),
            "status": computed(STRING, "`Connected` when the directory is usable."),
        }
        | state("A disabled one takes no new images.")
        | timeouts(),
        "An image store: the control plane keeps images there and serves them to the hosts.",
    )

    def create_endpoint(self, planned: Object) -> tuple[str, str]:
        if planned["hostname"] is None:
            return "AddImageStoreBackupStorage", "/backup-storage/image-store"
        return "AddSftpBackupStorage", "/backup-storage/sftp"
