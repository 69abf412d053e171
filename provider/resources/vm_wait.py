"""`wait_for`: how far a guest must have come until it counts as made or started. Nothing in the guest is asked: its host's
network services tell what they have seen. A guest that does not come so far stays, to be looked at.
"""

import logging
import time
from dataclasses import dataclass
from typing import Any

from provider.client.control_plane import ControlPlane
from provider.client.errors import Stopped
from provider.framework import validate
from provider.framework.diagnostics import Partial, Refused
from provider.framework.plan import Object, Plan
from provider.framework.resource import Context
from provider.framework.schema import Attr, optional
from provider.framework.types import STRING

log = logging.getLogger("provider.vm_wait")
AT = ("wait_for",)
PATIENCE = "5m"
PAUSES = (0.5, 5.0)  # seconds: the first, and the longest
PHONE_HOME = "http://169.254.169.254/phone-home"


@dataclass(frozen=True)
class Mark:
    """What `wait_for` may name: the count that says so, the service of the network that it needs, and words for people."""

    count: str | None
    service: str | None
    means: str


MARKS = {
    "running": Mark(None, None, "it runs, as every VM that is made or started"),
    "dhcp": Mark("dhcpAcks", "DHCP", "its guest has taken its address from DHCP, on its default network"),
    "metadata": Mark("metadataReads", "Userdata", "its guest has read from the metadata service, as cloud-init does"),
    "cloud_init": Mark(
        "phoneHomes",
        "Userdata",
        "its cloud-init is done: the user data must tell it to say so, "
        f"`phone_home: {{url: {PHONE_HOME}, post: [instance_id]}}`",
    ),
}
WAIT: dict[str, Attr] = {
    "wait_for": optional(
        STRING,
        "How far the guest must come until the VM counts as made, or as started, whatever starts it: `power_state`, a move, "
        f"what needs a restart, new user data: {'; '.join(f'`{name}`: {one.means}' for name, one in MARKS.items())}. Left out: `running`. Changed in place; a "
        "running VM is not waited for again. A new VM that does not come so far is kept to be looked at, and is tainted: the "
        "next apply makes another.",
        validators=(validate.one_of(*MARKS),),
    ),
    "wait_timeout": optional(
        STRING, "How long to wait for that, e.g. `90s` or `10m`.", default=PATIENCE, validators=(validate.duration,)
    ),
}


def must_be_possible(plan: Plan) -> None:
    """A network without the service can never tell: said in the plan, as far as the network is known."""
    planned, client = plan.planned, plan.client
    networks, default = planned["network_uuids"], planned["default_network_uuid"]
    uuid = networks[0] if isinstance(networks, list) and networks and not isinstance(default, str) else default
    service = MARKS[planned["wait_for"]].service if isinstance(planned["wait_for"], str) else None
    if service is None or client is None or not isinstance(uuid, str):
        return
    network = client.find("l3-networks", uuid)
    if network is not None and service not in _services(network):
        detail = (
            f"Network {network['name']} has no service {service}: add it to the network's services, or wait for less."
        )
        plan.diagnostics.error(f"wait_for = {planned['wait_for']} would never end", detail, AT)


def _services(network: dict[str, Any]) -> list[str]:
    return [one["networkServiceType"] for one in network.get("networkServices", [])]


def progress(client: ControlPlane, uuid: str) -> dict[str, Any]:
    return client.get(f"/vm-instances/{uuid}/boot-progress")


def wait(context: Context, made: Object) -> Object:
    """A new VM, once its guest has come so far. Raises Partial with it when the guest does not."""
    try:
        come_up(context, made, None)
    except Exception as error:  # what is tainted must not be protected from being made anew
        raise Partial(error, made | {"deletion_protection": False}) from error
    return made


def come_up(context: Context, vm: Object, before: dict[str, Any] | None) -> None:
    """Returns when the guest of a VM that was started has come as far as is wished since `before`. Raises Refused, Stopped."""
    count = MARKS[vm["wait_for"]].count if vm["wait_for"] else None
    if count is not None and vm["power_state"] == "running":
        _until(context, vm, count, before)


def _until(context: Context, state: Object, count: str, before: dict[str, Any] | None) -> None:
    limit = validate.seconds(state["wait_timeout"])
    deadline, (pause, longest) = time.monotonic() + limit, PAUSES
    start = before or {}
    while True:
        seen = progress(context.client, state["uuid"])
        if seen.get("hostUuid") != start.get("hostUuid") or seen[count] < start.get(count, 0):
            start = {"hostUuid": seen.get("hostUuid")}  # it came to a host anew, which begins to count
        if seen[count] > start.get(count, 0):
            return
        what = f"wait_for = {state['wait_for']}: {_told(seen, start)}"
        if seen["state"] in ("Stopped", "Destroyed"):
            raise Refused(f"VM {state['name']} stopped while it was waited for", what, AT)
        if time.monotonic() >= deadline:
            raise Refused(f"VM {state['name']} did not come up within {state['wait_timeout']}", _advice(what), AT)
        log.info("VM %s: %s", state["name"], what)
        if context.stop.wait(min(pause, max(0.0, deadline - time.monotonic()))):
            raise Stopped(f"VM {state['name']} runs, and was not waited for any longer ({what}).")
        pause = min(2 * pause, longest)


def _told(seen: dict[str, Any], start: dict[str, Any]) -> str:
    """What the services have seen of this boot."""
    leases, reads, calls = (seen[name] - start.get(name, 0) for name in ("dhcpAcks", "metadataReads", "phoneHomes"))
    so_far = [
        f"it is {seen['state']}",
        "its address was given to it by DHCP" if leases else "it has not asked DHCP for its address",
        "it has read metadata" if reads else "it has read no metadata",
        *(["its cloud-init has called"] if calls else ["its cloud-init has not called"]),
    ]
    return "; ".join(so_far) + "."


def _advice(what: str) -> str:
    return (
        f"{what} Look at its console (`steppe_console_access`), or give it longer with wait_timeout. What "
        "Terraform marks as tainted is made anew by the next apply, unless `terraform untaint` says that it is good."
    )
