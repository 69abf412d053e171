"""steppe_image: a template or an ISO, fetched from a URL or made from a volume or a snapshot that is there already."""

from collections.abc import Iterator
from typing import Any

from provider.client.control_plane import Inventory
from provider.framework import validate
from provider.framework.diagnostics import Path
from provider.framework.plan import Object, Plan
from provider.framework.resource import Context
from provider.framework.schema import Attr, Schema, computed, optional
from provider.framework.types import NUMBER, STRING, UNKNOWN, Value, set_of
from provider.resources.base import Table, identity, same_or, timeouts
from provider.resources.enablement import state

PLATFORMS = ("Linux", "Windows", "Other", "Paravirtualization", "WindowsVirtio")
SOURCES = {
    "root_volume_uuid": ("CreateRootVolumeTemplateFromRootVolume", "/images/root-volume-templates/from/volumes"),
    "snapshot_uuid": (
        "CreateRootVolumeTemplateFromVolumeSnapshot",
        "/images/root-volume-templates/from/volume-snapshots",
    ),
    "volume_uuid": ("CreateDataVolumeTemplateFromVolume", "/images/data-volume-templates/from/volumes"),
}
FROM_VOLUME = "volume://"  # what the control plane says of the URL of an image that was made here
OF_A_FILE = ("format", "media_type", "sha256")
MEDIA_TYPES = ("RootVolumeTemplate", "DataVolumeTemplate", "ISO")


def _iso_is_iso(config: dict[str, Value]) -> Iterator[tuple[Path, str]]:
    media_type, format_ = config.get("media_type"), config.get("format")
    if isinstance(media_type, str) and isinstance(format_, str) and (media_type == "ISO") != (format_ == "iso"):
        yield ("media_type",), f"media_type is {media_type!r} but format is {format_!r}: `ISO` and `iso` go together."


def _comes_from_one_place(config: dict[str, Value]) -> Iterator[tuple[Path, str]]:
    open_ = [name for name in ("url", *SOURCES) if config.get(name) is UNKNOWN]  # null, perhaps
    given = [name for name in ("url", *SOURCES) if config.get(name) not in (None, UNKNOWN)]
    if open_ and len(given) < 2:
        return
    if len(given) != 1:
        either = f"{' and '.join(given)} exclude each other." if given else "Where does the image come from?"
        yield (given[1] if given else "url",), f"{either} Exactly one of url, {', '.join(SOURCES)} is needed."
    elif given == ["url"]:
        for name in ("format", "image_store_uuids"):
            if config.get(name) is None:
                yield (name,), f"An image from a url needs {name}."
    else:
        for name in OF_A_FILE:
            if config.get(name) is not None:
                yield (name,), f"{name} is of a file that is fetched from a url; leave it out with {given[0]}."


def _source(noun: str) -> Attr:
    """Imported, it is null: then nobody knows, and nothing is made anew."""
    return optional(
        STRING, f"Instead of `url`: UUID of {noun}. Another one makes a new image.", validators=(validate.uuid,)
    )


class Image(Table):
    type_name = "steppe_image"
    collection = "images"
    create_api = ("AddImage", "/images")
    update_action = "updateImage"
    delete_api = "DeleteImage"
    expunge_action = "expungeImage"
    state_action = "changeImageState"
    creates_with = ("url", "format", "media_type", "platform", "guest_os_type", "sha256")
    updates = ("platform", "guest_os_type")
    unqueryable = frozenset({"volume_uuid"})
    limits = {"create": "1h"}
    schema = Schema(
        identity("image")
        | {
            "url": optional(
                STRING,
                "Where the image comes from: `http://`, `https://`, or `file://` in a directory of the control plane "
                "that its operator allowed. Of an image that was made here it tells the volume.",
                computed=True,
                keep=True,
                replace=True,
                validators=(
                    # Generated configuration says what an image that was made here has.
                    validate.matches(
                        r"(https?|file|volume)://.+", "a URL that begins with http://, https:// or file://"
                    ),
                    validate.length(1, 1024),
                ),
            ),
            "root_volume_uuid": _source("a root volume, whose VM is stopped; the image is a root volume template"),
            "snapshot_uuid": _source(
                "a snapshot of a root volume, whose VM may run; the image is a root volume template"
            ),
            "volume_uuid": _source("a volume, whose VM is stopped; the image is a data volume template"),
            "format": optional(
                STRING,
                "`qcow2`, `raw` or `iso`; needed with `url`.",
                computed=True,
                keep=True,
                replace=True,
                validators=(validate.one_of("qcow2", "raw", "iso"),),
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
            "image_store_uuids": optional(
                set_of(STRING),
                "UUIDs of the image stores that keep the image; needed with `url`, else every store of the volume's zone.",
                computed=True,
                keep=True,
                replace=True,
                validators=(validate.filled, validate.each(validate.uuid)),
            ),
            "size": computed(NUMBER, "Virtual size, in bytes."),
            "actual_size": computed(NUMBER, "Size of the file, in bytes."),
            "status": computed(STRING, "`Ready` when VMs can be made from it."),
        }
        | state("Nothing is made from a disabled one.")
        | timeouts(create="1h"),
        "An image: fetched from a URL into an image store and verified, or made there from a volume or a snapshot. Creating "
        "waits until it is `Ready`. Where it came from may be gone afterwards.",
        rules=(_comes_from_one_place, _iso_is_iso),
    )

    def modify_plan(self, plan: Plan) -> None:
        prior, url = plan.prior, plan.config["url"]
        if prior is None and isinstance(url, str) and url.startswith(FROM_VOLUME):
            detail = f"{url} tells where an image came from: to make one from a volume, say {', '.join(SOURCES)}."
            plan.diagnostics.error("Invalid url", detail, ("url",))
        made_here = prior is not None and str(prior["url"]).startswith(FROM_VOLUME)
        for name in SOURCES:
            if prior is not None and plan.changes(name) and plan.planned[name] is not None:
                imported = made_here and all(prior[other] is None for other in SOURCES)
                plan.replace += [] if imported else [(name,)]

    def create_endpoint(self, planned: Object) -> tuple[str, str]:
        source = _source_of(planned)
        return (SOURCES[source][0], f"{SOURCES[source][1]}/{planned[source]}") if source else self.create_api

    def parameters(self, context: Context, planned: Object) -> dict[str, Any]:
        asked: dict[str, Any] = {"backupStorageUuids": planned["image_store_uuids"]}
        source = _source_of(planned)
        if source == "volume_uuid":
            asked |= dict.fromkeys(("platform", "guestOsType"))  # that call does not take them
        elif source:
            asked |= _guest(planned)
        return asked

    def build(self, context: Context, uuid: str, planned: Object) -> None:
        if _source_of(planned) == "volume_uuid":
            path, limit = f"/{self.collection}/{uuid}", self.limit("create", planned)
            context.client.action(path, self.update_action, _guest(planned), timeout=limit)

    def gone(self, inventory: Inventory) -> bool:
        return inventory.get("status") == "Deleted"

    def merge(self, context: Context, inventory: Inventory, state: Object) -> Object:
        stores = sorted({ref["backupStorageUuid"] for ref in inventory.get("backupStorageRefs", [])})
        merged = super().merge(context, inventory, state)
        return merged | {"image_store_uuids": same_or(state.get("image_store_uuids"), stores)}


def _source_of(planned: Object) -> str | None:
    """Which of `SOURCES` it is made from; None: it comes from a URL."""
    return next((name for name in SOURCES if planned[name] is not None), None)


def _guest(planned: Object) -> dict[str, str]:
    """What is declared of the guest, and nothing that the volume's own image said."""
    return {"platform": planned["platform"], "guestOsType": planned["guest_os_type"] or ""}
