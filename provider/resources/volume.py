"""steppe_volume: a data volume.

`host_uuid` is a wish, `running_host_uuid` the fact: another wish moves the volume, with its snapshots, in place. It only
grows. Snapshots that Terraform did not take are never deleted with it; a volume that could be recovered counts as gone.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from provider.client.control_plane import Inventory
from provider.framework import validate
from provider.framework.diagnostics import Path, Refused
from provider.framework.plan import Object, Plan
from provider.framework.resource import Context
from provider.framework.schema import Schema, computed, optional
from provider.framework.types import BOOL, NUMBER, STRING, UNKNOWN, Value
from provider.resources.base import Table, deletion_protection, identity, timeouts
from provider.resources.enablement import state
from provider.resources.foreign import must_have_no_snapshots
from provider.resources.placement import PLACES, host_of, waits_for_host
from provider.resources.volume_change import move, plan_growth, plan_move, source_size

SOURCES = ("disk_offering_uuid", "image_uuid", "snapshot_uuid")
SIZE = ("size",)
_SECTOR = 512  # bytes


def _has_one_source(config: dict[str, Value]) -> Iterator[tuple[Path, str]]:
    given = [name for name in SOURCES if config.get(name) is not None]
    if len(given) > 1:
        yield (given[1],), f"{' and '.join(given)} exclude each other: a volume is made from one thing."
    if not given and config.get("size") is None:
        yield SIZE, f"One of size, {', '.join(SOURCES)} must say how large the volume is."


def _whole_sectors(size: float) -> str | None:
    return None if size % _SECTOR == 0 else f"{size:.0f} is not a multiple of {_SECTOR}, as the size of a disk is."


def _source(noun: str) -> Any:
    """Taken back, nothing changes; another one needs a new volume."""
    return optional(
        STRING, f"UUID of {noun}. Another one makes a new volume.", computed=True, keep=True, replace=True,
        validators=(validate.uuid,),
    )  # fmt: skip


class Volume(Table):
    type_name = "steppe_volume"
    collection = "volumes"
    create_api = ("CreateDataVolume", "/volumes/data")
    update_action = "updateVolume"
    delete_api = "DeleteDataVolume"
    expunge_action = "expungeDataVolume"
    state_action = "changeVolumeState"
    names = {"image_uuid": "rootImageUuid", "vm_uuid": "vmInstanceUuid"}
    unqueryable = frozenset({"host_uuid", "type"})
    limits = {"create": "1h", "update": "6h"}
    schema = Schema(
        identity("volume")
        | {
            "size": optional(
                NUMBER, "Size in bytes, a multiple of 512; by default that of the offering, the image or the snapshot. It "
                "can grow, in a running guest too, and never shrink.", computed=True, keep=True,
                validators=(validate.between(1, 2**53), _whole_sectors),
            ),
            "disk_offering_uuid": _source("the disk offering that gives the size"),
            "image_uuid": _source("the data volume template with the content; needs `host_uuid`"),
            "snapshot_uuid": optional(
                STRING, "UUID of the volume snapshot with the content. Another one makes a new volume.",
                computed=True, keep=True, validators=(validate.uuid,),
            ),
            "primary_storage_uuid": optional(
                STRING, "UUID of the primary storage; goes with `host_uuid`. Without both, the volume gets its file where "
                "the VM is that it is first attached to.", computed=True, keep=True, replace=True,
                validators=(validate.uuid,),
            ),
            "host_uuid": optional(
                STRING, "UUID of the host on which to have the volume; null when there is no wish. A change to another "
                "host than the one it is on moves it there with its snapshots: it must be detached. Leave it out for a "
                "volume that goes where its VM goes.", computed=True, keep=True, validators=(validate.uuid,),
            ),
            "running_host_uuid": computed(STRING, "UUID of the host that holds it; null while it has no file."),
            "expunge": optional(
                BOOL, "Whether destroying deletes the data for good; else the volume can be recovered for a while.",
                default=True,
            ),
            "type": computed(STRING, "`Data`."),
            "format": computed(STRING, "`qcow2` or `raw`."),
            "status": computed(STRING, "`Ready`, or `NotInstantiated` while it has no file."),
            "actual_size": computed(NUMBER, "What its file takes on the host, in bytes, as last known."),
            "vm_uuid": computed(STRING, "UUID of the VM that it is attached to."),
            "device_path": computed(STRING, "Where a Linux guest finds it: `/dev/disk/by-id/…`."),
        }
        | state("A disabled one cannot be attached; where it is attached it stays so.")
        | deletion_protection("volume")
        | timeouts(create="1h", update="6h"),
        "A data volume on the local disk of a host. `steppe_volume_attachment` gives it to a VM.",
        rules=(_has_one_source,),
    )  # fmt: skip

    def modify_plan(self, plan: Plan) -> None:
        config, planned, prior = plan.config, plan.planned, plan.prior
        if prior is None:
            planned |= {name: None for name in ("host_uuid", *SOURCES) if config[name] is None}
            _must_have_a_place(plan)
            if planned["host_uuid"] is not None:
                waits_for_host(plan, f"Volume {planned['name']}", planned["host_uuid"])
            if isinstance(planned["size"], (int, float)) and plan.client is not None:
                _must_hold(planned["size"], source_size(plan.client, planned))
            return
        if prior["snapshot_uuid"] is not None and plan.changes("snapshot_uuid"):  # null: imported, nobody knows
            plan.replace.append(("snapshot_uuid",))
        plan_growth(plan)
        plan_move(plan)

    def create_endpoint(self, planned: Object) -> tuple[str, str]:
        if planned["image_uuid"] is not None:
            path = f"/volumes/data/from/data-volume-templates/{planned['image_uuid']}"
            return "CreateDataVolumeFromVolumeTemplate", path
        if planned["snapshot_uuid"] is not None:
            return (
                "CreateDataVolumeFromVolumeSnapshot",
                f"/volumes/data/from/volume-snapshots/{planned['snapshot_uuid']}",
            )
        return self.create_api

    def parameters(self, context: Context, planned: Object) -> dict[str, Any]:
        asked = {"primaryStorageUuid": planned["primary_storage_uuid"]}
        if planned["snapshot_uuid"] is not None:
            return asked  # where the snapshot is
        asked["hostUuid"] = planned["host_uuid"]
        if planned["image_uuid"] is None:
            offering = planned["disk_offering_uuid"]
            asked |= {"diskSize": planned["size"]} if offering is None else {"diskOfferingUuid": offering}
        return asked

    def build(self, context: Context, uuid: str, planned: Object) -> None:
        """What the creating call does not do: grow, and go where it is wished."""
        inventory: Inventory = context.client.find(self.collection, uuid) or {}
        limit = self.limit("create", planned)
        if planned["size"] is not UNKNOWN:
            _must_hold(planned["size"], inventory["size"])
            self._grow(context, uuid, inventory["size"], planned["size"], limit)
        move(context.client, uuid, planned["host_uuid"], limit)

    def update_more(self, context: Context, prior: Object, planned: Object) -> None:
        limit = self.limit("update", planned)
        if planned["host_uuid"] != prior["host_uuid"]:
            move(context.client, prior["uuid"], planned["host_uuid"], limit)
        self._grow(context, prior["uuid"], prior["size"], planned["size"], limit)

    def _grow(self, context: Context, uuid: str, size: int, wished: int, limit: float) -> None:
        if wished > size:
            context.client.action(f"/volumes/data/resize/{uuid}", "resizeDataVolume", {"size": wished}, timeout=limit)

    def must_be_ours(self, context: Context, inventory: Inventory) -> None:
        must_have_no_snapshots(context.client, f"volume {inventory['name']}", [inventory["uuid"]])

    def gone(self, inventory: Inventory) -> bool:
        return inventory.get("status") == "Deleted"

    def foresee(self, context: Context, inventories: Sequence[Inventory]) -> None:
        context.client.foresee(PLACES, [one["uuid"] for one in inventories])

    def stands_alone(self, inventory: Inventory) -> bool:
        """A root volume is part of its VM."""
        return inventory.get("type") == "Data"

    def merge(self, context: Context, inventory: Inventory, state: Object) -> Object:
        merged = super().merge(context, inventory, state)
        merged |= {name: state.get(name) for name in ("host_uuid", "snapshot_uuid")}  # no facts of that name
        merged["running_host_uuid"] = host_of(context.client, state["uuid"])
        merged["device_path"] = device_path(state["uuid"])
        return merged

    def import_state(self, context: Context, identifier: str) -> Object:
        state = super().import_state(context, identifier)
        if state["type"] == "Root":
            detail = f"{identifier} is the root volume of VM {state['vm_uuid']}: it is part of that steppe_vm."
            raise Refused("Not a data volume", detail)
        return state

    def describe(self, context: Context, inventory: Inventory) -> Object:
        """An imported volume is wished to be where it is."""
        state = super().describe(context, inventory)
        return state | {"host_uuid": state["running_host_uuid"]}


def device_path(volume_uuid: str) -> str:
    """Of the serial number that the host gives the disk."""
    return f"/dev/disk/by-id/virtio-{volume_uuid[:20]}"


def _must_have_a_place(plan: Plan) -> None:
    """Host and storage go together; only a copy of a snapshot knows its storage, and has a place without either."""
    planned = plan.planned
    storage, host = plan.config["primary_storage_uuid"], planned["host_uuid"]
    if planned["snapshot_uuid"] is not None:
        return
    if planned["image_uuid"] is not None and host is None:
        plan.diagnostics.error(
            "Missing host_uuid", "A volume from an image is made on the host that is named.", ("host_uuid",)
        )
    elif host is not None and storage is None:
        detail = "A host may have several storages: primary_storage_uuid says on which the volume is made."
        plan.diagnostics.error("Missing primary_storage_uuid", detail, ("primary_storage_uuid",))
    elif host is None and storage is not None:
        detail = "A local storage has a part on each of its hosts: host_uuid says on which the volume is made."
        plan.diagnostics.error("Missing host_uuid", detail, ("host_uuid",))


def _must_hold(wished: float, needed: int | None) -> None:
    if needed is not None and wished < needed:
        raise Refused("Invalid size", f"What the volume is made from has {needed} bytes; size is {wished:.0f}.", SIZE)
