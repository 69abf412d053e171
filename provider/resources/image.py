"""steppe_image: a template or an ISO."""

from collections.abc import Iterator
from typing import Any

from provider.client.control_plane import Inventory
from provider.framework import validate
from provider.framework.diagnostics import Path
from provider.framework.plan import Object
from provider.framework.resource import Context
from provider.framework.schema import Schema, computed, optional, required
from provider.framework.types import NUMBER, STRING, Value, set_of
from provider.resources.base import Table, identity, same_or, timeouts

PLATFORMS = ("Linux", "Windows", "Other", "Paravirtualization", "WindowsVirtio")
MEDIA_TYPES = ("RootVolumeTemplate", "DataVolumeTemplate", "ISO")


def _iso_is_iso(config: dict[str, Value]) -> Iterator[tuple[Path, str]]:
    media_type, format_ = config.get("media_type"), config.get("format")
    if isinstance(media_type, str) and isinstance(format_, str) and (media_type == "ISO") != (format_ == "iso"):
        yield ("media_type",), f"media_type is {media_type!r} but format is {format_!r}: `ISO` and `iso` go together."


class Image(Table):
    type_name = "steppe_image"
    collection = "images"
    create_api = ("AddImage", "/images")
    update_action = "updateImage"
    delete_api = "DeleteImage"
    expunge_action = "expungeImage"
    creates_with = ("url", "format", "media_type", "platform", "guest_os_type", "sha256")
    updates = ("platform", "guest_os_type")
    limits = {"create": "1h"}
    schema = Schema(
        identity("image")
        | {
            "url": required(
                STRING,
                "Where the image comes from: `http://`, `https://`, or `file://` in a directory of the control plane "
                "that its operator allowed.",
                replace=True,
                validators=(
                    validate.matches(r"(https?|file)://.+", "a URL that begins with http://, https:// or file://"),
                    validate.length(1, 1024),
                ),
            ),
            "format": required(
                STRING, "`qcow2`, `raw` or `iso`.", replace=True, validators=(validate.one_of("qcow2", "raw", "iso"),)
            ),
            "media_type": optional(
                STRING,
                "`RootVolumeTemplate`, `DataVolumeTemplate` or `ISO`; by default what the format suggests.",
                computed=True,
                keep=True,
                replace=True,
                validators=(validate.one_of(*MEDIA_TYPES),),
            ),
            "platform": optional(
                STRING, f"One of {', '.join(PLATFORMS)}.", default="Linux", validators=(validate.one_of(*PLATFORMS),)
            ),
            "guest_os_type": optional(
                STRING, "A note about the guest, e.g. `Debian 12`.", validators=(validate.length(0, 255),)
            ),
            "sha256": optional(
                STRING,
                "Checksum that the file must have, 64 hexadecimal digits.",
                computed=True,
                keep=True,
                replace=True,
                validators=(validate.matches(r"[0-9a-f]{64}", "a SHA-256 sum: 64 lower-case hexadecimal digits"),),
            ),
            "image_store_uuids": required(
                set_of(STRING),
                "UUIDs of the image stores that keep the image.",
                replace=True,
                validators=(validate.filled, validate.each(validate.uuid)),
            ),
            "size": computed(NUMBER, "Virtual size, in bytes."),
            "actual_size": computed(NUMBER, "Size of the file, in bytes."),
            "status": computed(STRING, "`Ready` when VMs can be made from it."),
        }
        | timeouts(create="1h"),
        "An image, fetched into an image store and verified. Creating waits until it is `Ready`.",
        rules=(_iso_is_iso,),
    )

    def parameters(self, context: Context, planned: Object) -> dict[str, Any]:
        return {"backupStorageUuids": planned["image_store_uuids"]}

    def gone(self, inventory: Inventory) -> bool:
        return inventory.get("status") == "Deleted"

    def merge(self, context: Context, inventory: Inventory, state: Object) -> Object:
        stores = sorted({ref["backupStorageUuid"] for ref in inventory.get("backupStorageRefs", [])})
        merged = super().merge(context, inventory, state)
        return merged | {"image_store_uuids": same_or(state.get("image_store_uuids"), stores)}
