"""Where volumes lie, and how their moves are told; of a VM and of a single volume alike."""

from provider.client.control_plane import ControlPlane
from provider.client.errors import ApiFailure
from provider.client.lookups import Kind
from provider.framework import validate
from provider.framework.plan import Object, Plan

HOST = ("host_uuid",)
PLACES = Kind("primary-storage/local-storage/resource-refs", "resourceUuid")
LIMIT = "6h"  # for the copy, unless `timeouts.update` says otherwise


def host_of(client: ControlPlane, volume_uuid: str) -> str | None:
    """The host that holds the volume; None while it has no file."""
    refs = client.belonging(PLACES, volume_uuid)
    return refs[0]["hostUuid"] if refs else None


def copy_limit(planned: Object) -> float:
    return validate.seconds((planned.get("timeouts") or {}).get("update") or LIMIT)


def refuse(plan: Plan, what: str, host_uuid: str, failure: ApiFailure) -> None:
    """The control plane would not move it."""
    why = "\n".join(filter(None, [failure.details, *failure.causes]))
    plan.diagnostics.error(f"{what} cannot be moved to host {host_uuid}", why, HOST)


def announce(plan: Plan, what: str, how: str, found: Object, kind: str = "offline copy") -> None:
    """`found` is the control plane's plan of the move."""
    where = f"From host {found['sourceHostName']} to {found['destHostName']}"
    plan.diagnostics.warning(f"{what} will be {how}", f"{where}: {kind} of {spelled_size(found['bytes'])}.", HOST)


def spelled_size(count: int) -> str:
    if count < 1 << 30:
        return f"{count / (1 << 20):.1f} MiB"
    return f"{count / (1 << 30):.1f} GiB"
