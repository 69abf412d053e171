"""Where volumes lie, and how their moves are told; of a VM and of a single volume alike."""

from provider.client.control_plane import ControlPlane
from provider.client.errors import ApiFailure
from provider.client.lookups import Kind
from provider.framework import validate
from provider.framework.plan import Object, Plan
from provider.framework.types import UNKNOWN, Value

HOST = ("host_uuid",)
PLACES = Kind("primary-storage/local-storage/resource-refs", "resourceUuid")
LIMIT = "6h"  # for the copy, unless `timeouts.update` says otherwise


def host_of(client: ControlPlane, volume_uuid: str) -> str | None:
    """The host that holds the volume; None while it has no file."""
    refs = client.belonging(PLACES, volume_uuid)
    return refs[0]["hostUuid"] if refs else None


def waits_for_host(plan: Plan, what: str, wished: Value, **within: Value) -> bool:
    """Whether this is left for a later plan, where Terraform can do that: the wished host, or every one there, is not up."""
    if not plan.may_wait or plan.client is None or wished is UNKNOWN or UNKNOWN in within.values():
        return False
    if wished is not None:
        host = plan.client.find("hosts", wished)
        if host is None or host["status"] == "Connected":  # what else is wrong with it is said elsewhere
            return False
        why = f"Host {host['name']} is {host['status']}."
    else:
        where = {name: value for name, value in within.items() if value is not None}
        if plan.client.query("hosts", status="Connected", **where):
            return False
        why = "No host is up there."
    plan.deferred = "absent prerequisite"
    plan.diagnostics.warning(f"{what} waits for its host", f"{why} It is left for a later plan and apply.", HOST)
    return True


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
