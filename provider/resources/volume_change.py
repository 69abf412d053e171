"""What a change of a volume's size or host will do, or why it cannot be: said in the plan, by the control plane's dry run."""

from typing import Any

from provider.client.control_plane import ControlPlane
from provider.client.errors import ApiFailure
from provider.framework.plan import Object, Plan
from provider.framework.types import UNKNOWN
from provider.resources.placement import HOST, announce, host_of, refuse, waits_for_host

_SOURCES = {"disk_offering_uuid": ("disk-offerings", "diskSize"), "image_uuid": ("images", "size")}


def source_size(client: ControlPlane, planned: Object) -> int | None:
    """How large the volume will be by what it is made from; None: that is not known, or there is nothing."""
    for attribute, (collection, field) in _SOURCES.items():
        if isinstance(planned[attribute], str):
            return (client.find(collection, planned[attribute]) or {}).get(field)
    if isinstance(planned["snapshot_uuid"], str):
        snapshot = client.find("volume-snapshots", planned["snapshot_uuid"])
        volume = client.find("volumes", snapshot["volumeUuid"]) if snapshot else None
        return volume["size"] if volume else None
    return None


def plan_growth(plan: Plan) -> None:
    prior, size = plan.prior, plan.planned["size"]
    if prior is None or size is UNKNOWN or size >= prior["size"]:
        return
    plan.diagnostics.error(
        f"Volume {prior['name']} cannot shrink",
        f"It has {prior['size']} bytes and would have {size:.0f}. Its data would be cut off: set size to at least "
        f"{prior['size']}, or make a smaller volume beside it and copy what it shall hold.",
        ("size",),
    )


def plan_move(plan: Plan) -> None:
    prior, planned, client = plan.prior, plan.planned, plan.client
    wished = planned["host_uuid"]
    if prior is None or not plan.changes("host_uuid") or wished is None:
        return
    if wished is UNKNOWN or client is None:
        planned["running_host_uuid"] = UNKNOWN
        return
    what, here = f"Volume {prior['name']}", host_of(client, prior["uuid"])
    if here == wished:
        return
    if here is None:
        why = "It has no file yet: it gets one where the VM is that it is first attached to. Leave host_uuid out until then."
        plan.diagnostics.error(f"{what} cannot be moved", why, HOST)
        return
    if waits_for_host(plan, what, wished):
        return
    try:
        found = _migrate(client, prior["uuid"], wished, 60, dryRun=True)["plan"]
    except ApiFailure as failure:
        if prior["vm_uuid"]:
            hint = (
                "A volume that stays attached moves with its VM, when the host_uuid of that changes: leave its own out."
            )
            failure.causes.append(hint)
        refuse(plan, what, wished, failure)
        return
    snapshots = len(found["files"]) - 1
    along = {0: "", 1: " with its snapshot"}.get(snapshots, f" with its {snapshots} snapshots")
    announce(plan, what, f"moved{along}", found)
    planned["running_host_uuid"] = UNKNOWN


def move(client: ControlPlane, uuid: str, wished: str | None, limit: float) -> None:
    """The volume is on the wished host, if there is a wish and it has a file."""
    if wished is not None and host_of(client, uuid) not in (None, wished):
        _migrate(client, uuid, wished, limit)


def _migrate(client: ControlPlane, uuid: str, host: str, limit: float, **more: Any) -> Object:
    path = f"/primary-storage/local-storage/volumes/{uuid}"
    return client.action(path, "localStorageMigrateVolume", {"destHostUuid": host, **more}, timeout=limit)
