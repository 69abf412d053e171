"""What a VM starts with: ISO images in its drives, boot order, CPU mode, console mode and instance offering.

The drives of a running VM change at once. The rest is taken at its next start: a running VM is restarted for it when
`allow_restart` says so, else `restart_required` names what waits. Wishes are what the user wrote; facts have other names.
"""

from typing import Any

from provider.client.control_plane import ControlPlane
from provider.client.lookups import Kind
from provider.framework import validate
from provider.framework.diagnostics import Refused
from provider.framework.plan import Object, Plan
from provider.framework.schema import Attr, Validator, computed, optional
from provider.framework.types import STRING, UNKNOWN, list_of, set_of
from provider.resources.vm_tags import VmTags

DEVICES = ("HardDisk", "CdRom", "Network")
ATTRIBUTE = {  # by the word on the wire
    "bootOrder": "boot_order",
    "cpuMode": "cpu_mode",
    "consoleMode": "console_mode",
    "instanceOfferingUuid": "instance_offering_uuid",
}
FACTS = (
    "running_cpu_mode", "running_cpu_model", "running_console_mode", "next_boot_order", "restart_required", "cpu_num",
    "memory_size",
)  # fmt: skip
SETTINGS = Kind("vm-instances/start-settings", "vmInstanceUuid", parameter="vmInstanceUuids")
DRIVES = 3  # of one VM at most


def _few(value: list[Any]) -> str | None:
    return None if len(value) <= DRIVES else f"A VM has at most {DRIVES} CD drives; {len(value)} images are given."


def _order(what: str) -> Attr:
    devices: tuple[Validator, ...] = (validate.filled, validate.each(validate.one_of(*DEVICES)), validate.distinct)
    return optional(list_of(STRING), what, validators=devices)


START: dict[str, Attr] = {
    "iso_uuids": optional(
        set_of(STRING),
        "UUIDs of the ISO images in its CD drives: these and no others. A running VM gets and gives them at once. A VM made "
        "from an ISO has that one in its drive: name it as long as it shall stay. Left out, the drives stay as they are. More "
        'than one needs drives: `system_tags = ["cdRoms::2"]`.',
        validators=(_few, validate.each(validate.uuid)),
    ),
    "attached_iso_uuids": computed(set_of(STRING), "UUIDs of the ISO images that are in its drives."),
    "boot_order": _order(
        "What it boots from, in this order: `HardDisk`, `CdRom`, `Network`; for every boot from its next start on. Left out, "
        "it boots from its disk; a VM made from an ISO boots from that until its first reboot."
    ),
    "boot_order_once": _order(
        "Like `boot_order`, for the next boot only: it is sent when it is new or changed, and means nothing after that boot."
    ),
    "next_boot_order": computed(list_of(STRING), "What its next boot follows."),
    "cpu_mode": optional(
        STRING,
        "CPU that the guest sees: `none` (QEMU's default), `host-model` or `host-passthrough`. Left out, the global "
        "configuration kvm/vm.cpuMode decides.",
        validators=(validate.one_of("none", "host-model", "host-passthrough"),),
    ),
    "running_cpu_mode": computed(
        STRING, "CPU mode that it runs with; where a host has no KVM, not always the one that was wished for."
    ),
    "running_cpu_model": computed(STRING, "CPU model that it runs with."),
    "console_mode": optional(
        STRING,
        "Protocol of its screen: `vnc`, `spice` or `vncAndSpice`. Left out, the global configuration kvm/vm.consoleMode "
        "decides.",
        validators=(validate.one_of("vnc", "spice", "vncAndSpice"),),
    ),
    "running_console_mode": computed(STRING, "Console mode that it runs with."),
    "restart_required": computed(
        list_of(STRING),
        "Which of `boot_order`, `cpu_mode`, `console_mode` and `instance_offering_uuid` the running guest gets only with a "
        "restart.",
    ),
}


def plan_start(plan: Plan) -> None:
    """Which facts are open, and what happens to the running guest."""
    prior, planned = plan.prior, plan.planned
    if prior is None:
        return
    if plan.changes("iso_uuids") and planned["iso_uuids"] is not None:
        planned["attached_iso_uuids"] = UNKNOWN
    if plan.changes("boot_order_once"):
        planned["next_boot_order"] = UNKNOWN
    changed = [name for name in ATTRIBUTE.values() if plan.changes(name)]
    # A restart that was consented to and did not happen is made up for, as far as the configuration wishes it.
    left = [name for name in prior["restart_required"] or [] if plan.config.get(name) is not None]
    wanted = sorted({*changed, *left}) if planned["allow_restart"] is True else sorted(changed)
    causes = ["power_state", "host_uuid"]
    causes += ["user_data", "user_data_wo_version"] if planned["user_data_on_change"] == "reboot" else []
    if wanted or any(plan.changes(name) for name in causes):
        planned |= dict.fromkeys(FACTS, UNKNOWN)
    if wanted and prior["power_state"] == planned["power_state"] == "running":
        _tell(plan, str(prior["name"]), wanted)


def _tell(plan: Plan, name: str, wanted: list[str]) -> None:
    what = ", ".join(wanted)
    if plan.planned["allow_restart"] is True:
        plan.diagnostics.warning(
            f"VM {name} will be restarted", f"For its new {what}; allow_restart is true.", (wanted[0],)
        )
        return
    plan.diagnostics.warning(
        f"VM {name} gets its new {what} at its next start",
        "It goes on as it is: stop and start it when it suits, or set allow_restart = true to have it restarted by this "
        "apply. Until then restart_required names what waits.",
        (wanted[0],),
    )


def starts_later(planned: Object) -> bool:
    """Whether a new VM needs something before its first boot that its creating call cannot say."""
    return any(planned[name] is not None for name in ("iso_uuids", "boot_order", "boot_order_once"))


def prepare(client: ControlPlane, uuid: str, planned: Object, limit: float) -> None:
    """A new VM has its drives and its boot order."""
    bring(client, uuid, dict.fromkeys(planned), planned, limit)


def bring(client: ControlPlane, uuid: str, prior: Object, planned: Object, limit: float) -> None:
    """Drives and boot order as planned; safe to repeat."""
    path = f"/vm-instances/{uuid}"
    if planned["iso_uuids"] is not None:
        there, wished = VmTags.of(client, uuid).isos, planned["iso_uuids"]
        for iso in [one for one in there if one not in wished]:
            client.delete("DetachIsoFromVmInstance", f"{path}/iso?isoUuid={iso}", timeout=limit)
        for iso in [one for one in wished if one not in there]:
            client.create("AttachIsoToVmInstance", f"{path}/iso/{iso}", {}, timeout=limit)
    lasting, once = planned["boot_order"], planned["boot_order_once"]
    once_is_new = once != prior["boot_order_once"]
    if lasting != prior["boot_order"] or (once_is_new and once is None):
        waiting = settings(client, uuid).get("bootOrderOnce")
        client.action(path, "setVmBootOrder", {"bootOrder": lasting}, timeout=limit)  # forgets an order for one boot
        if waiting and not once_is_new:
            client.action(path, "setVmBootOrder", {"bootOrderOnce": waiting}, timeout=limit)
    if once_is_new and once is not None:
        client.action(path, "setVmBootOrder", {"bootOrderOnce": once}, timeout=limit)


def restart_if_needed(client: ControlPlane, uuid: str, planned: Object, limit: float) -> bool:
    """Whether it was."""
    if not planned["allow_restart"] or not settings(client, uuid)["restartRequired"]:
        return False
    client.action(f"/vm-instances/{uuid}", "rebootVmInstance", {}, timeout=limit)
    return True


def settings(client: ControlPlane, uuid: str) -> dict[str, Any]:
    found = client.belonging(SETTINGS, uuid)
    if not found:
        raise Refused("The VM disappeared", f"VM {uuid} was removed by somebody else meanwhile.")
    return found[0]


def merge_start(client: ControlPlane, inventory: dict[str, Any], tags: VmTags, state: Object) -> Object:
    """Wishes and facts as they are now; a wish that was never stated stays null."""
    told, runs = settings(client, inventory["uuid"]), inventory.get("state") == "Running"
    isos = sorted(tags.isos)
    return {
        "instance_offering_uuid": told["next"].get("instanceOfferingUuid"),
        "iso_uuids": None if state.get("iso_uuids") is None else isos,
        "attached_iso_uuids": isos,
        "boot_order": None if state.get("boot_order") is None else told["next"]["bootOrder"],
        "next_boot_order": told["nextBootOrder"],
        "running_cpu_mode": inventory.get("cpuMode") if runs else None,
        "running_cpu_model": inventory.get("cpuModel") if runs else None,
        "running_console_mode": told.get("running", {}).get("consoleMode"),
        "restart_required": [ATTRIBUTE[one] for one in told["restartRequired"]],
    }
