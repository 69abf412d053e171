"""Moving a VM when its `host_uuid` changes: while it runs where `migrate_running` says so, else stop, move all its volumes,
start, as far as each is needed and allowed.

The plan asks the control plane for a dry run, so whatever the server would refuse is refused before anything is done.
"""

import contextlib
from typing import Any

from provider.client.control_plane import ControlPlane
from provider.client.errors import ApiFailure
from provider.framework.plan import Object, Plan
from provider.framework.schema import Attr, optional
from provider.framework.types import BOOL, UNKNOWN
from provider.resources.placement import HOST, announce, copy_limit, host_of, refuse, waits_for_host

CONSENT: dict[str, Attr] = {
    "allow_restart": optional(
        BOOL,
        "Whether a running VM may be stopped and started again by a change that needs it, such as another `host_uuid`.",
        default=False,
    ),
    "migrate_running": optional(
        BOOL,
        "Whether a running VM that gets another `host_uuid` is moved while it runs, with its disks. The cloud must allow "
        "that (`localStoragePrimaryStorage/liveMigrationWithStorage.allow`).",
        default=False,
    ),
}


def plan_move(plan: Plan) -> None:
    """Says in the plan what the move will do, or why it cannot be."""
    prior, planned = plan.prior, plan.planned
    wished = planned["host_uuid"]
    if prior is None or not plan.changes("host_uuid") or wished is None:
        return
    if wished is UNKNOWN or plan.client is None:
        planned["running_host_uuid"] = planned["state"] = UNKNOWN
        return
    if host_of(plan.client, prior["root_volume_uuid"]) == wished:
        return
    if waits_for_host(plan, f"VM {prior['name']}", wished):
        return
    live = _may_go_live(planned) and _runs(plan.client, prior["uuid"])
    try:
        found = _move(plan.client, prior["uuid"], wished, 60, live, dryRun=True)["plan"]
    except ApiFailure as failure:
        refuse(plan, f"VM {prior['name']}", wished, failure)
        return
    restarts = not live and found["needsStop"] and planned["power_state"] == "running"
    if restarts and not planned["allow_restart"]:
        plan.diagnostics.error(
            f"VM {prior['name']} would have to be restarted",
            f"It runs on host {found['sourceHostName']}; to move to {found['destHostName']} it must be stopped. Set "
            "allow_restart = true to have it stopped, moved and started again, migrate_running = true to have it moved "
            'while it runs, or power_state = "stopped".',
            HOST,
        )
        return
    how = "moved while it runs" if live else "stopped, moved and started again" if restarts else "moved"
    announce(plan, f"VM {prior['name']}", how, found, "copy" if live else "offline copy")
    planned["running_host_uuid"] = planned["state"] = UNKNOWN


def move(client: ControlPlane, prior: Object, planned: Object, limit: float) -> bool:
    """The VM's disks are on the wished host. A VM that ran runs again, unless it shall be stopped; whether it was started."""
    uuid, wished = prior["uuid"], planned["host_uuid"]
    if wished is None or wished == prior["host_uuid"] or host_of(client, prior["root_volume_uuid"]) == wished:
        return False
    ran = _runs(client, uuid)
    if ran and _may_go_live(planned):
        _move(client, uuid, wished, copy_limit(planned), live=True)
        return False
    path = f"/vm-instances/{uuid}"
    starts = ran and planned["power_state"] == "running"
    if ran:  # until it has to be off, it runs
        _move(client, uuid, wished, copy_limit(planned), live=False, prepare=True)
        client.action(path, "stopVmInstance", {}, timeout=limit)
    try:
        _move(client, uuid, wished, copy_limit(planned), live=False)
    except Exception:
        if starts:  # where it was; what went wrong with the move matters more than this
            with contextlib.suppress(ApiFailure):
                client.action(path, "startVmInstance", {}, timeout=limit)
        raise
    if starts:
        client.action(path, "startVmInstance", {}, timeout=limit)
    return starts


def _may_go_live(planned: Object) -> bool:
    return planned["migrate_running"] is True and planned["power_state"] == "running"


def _runs(client: ControlPlane, uuid: str) -> bool:
    return (client.find("vm-instances", uuid) or {}).get("state") == "Running"


def _move(client: ControlPlane, uuid: str, host: str, limit: float, live: bool, **more: Any) -> dict[str, Any]:
    action, parameter = ("migrateVm", "hostUuid") if live else ("localStorageMigrateVm", "destHostUuid")
    return client.action(f"/vm-instances/{uuid}", action, {parameter: host, **more}, timeout=limit)
