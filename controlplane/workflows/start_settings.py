"""What a VM takes at its start (CPU mode, console mode, boot order, offering): what the running one has, what the next start gives.

A VM's own wish goes before the global configuration. What a start gave is kept in the VM's row (`started_…`), so that a
read can tell what waits for a restart without asking a host.
"""

from typing import Any

from controlplane.rules import system_tag
from controlplane.rules.vm_state import RUNNING
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows import boot_order, global_config, instance_offering

Json = dict[str, Any]
_OFFERING = "instance_offering_uuid"
_STARTED = ("boot_order", "cpu_mode", "console_mode")
_NAMES = (*_STARTED, _OFFERING)


def defaults(tx: Tx) -> dict[str, str]:
    """CPU and console mode of a VM without a wish of its own."""
    return {
        "cpu_mode": global_config.value(tx, "kvm", "vm.cpuMode"),
        "console_mode": global_config.value(tx, "kvm", "vm.consoleMode"),
    }


def modes(tags: list[str], defaults: dict[str, str]) -> Json:
    """CPU and console mode of the next start of a VM with these tags."""
    return {
        "cpu_mode": _own(tags, "cpuMode") or defaults["cpu_mode"],
        "console_mode": _own(tags, "consoleMode") or defaults["console_mode"],
    }


def started(spec: Json) -> Json:
    """Columns of a VM that was started with this `VmSpec`."""
    chosen = spec | {"boot_order": ",".join(spec["boot_order"])}
    return {f"started_{name}": chosen[name] for name in _STARTED}


def running(vm: rows.Row) -> Json | None:
    """None while it does not run, or when nobody knows what it was started with."""
    if vm["state"] != RUNNING or not vm["started_cpu_mode"]:
        return None
    found = {name: vm[f"started_{name}"] for name in _STARTED}
    return found | {"boot_order": found["boot_order"].split(","), _OFFERING: vm[_OFFERING]}


def following(tx: Tx, vm: rows.Row, tags: list[rows.Row], defaults: dict[str, str]) -> Json:
    """What the next start gives; `tags` are all system tags of the VM."""
    wished = [row["tag"] for row in tags if not row["inherent"]]
    offering = instance_offering.following(tx, vm)[_OFFERING]
    return {"boot_order": boot_order.lasting(vm), _OFFERING: offering} | modes(wished, defaults)


def waiting(now: Json | None, then: Json) -> list[str]:
    """Names of the settings that a restart would change."""
    return [name for name in _NAMES if now and now[name] != then[name]]


def _own(tags: list[str], prefix: str) -> str | None:
    return next(iter(system_tag.values(tags, prefix)), None)
