"""The networks of a VM: NICs come and go in place; only another address on a network that stays needs a new VM.

A NIC that comes is the last one, wherever the configuration names it: the order matters when the VM is made. Those that are
new come before those that are gone go, so that a guest need not be without any, and the default network can change in between.
"""

from typing import Any

from provider.client.control_plane import ControlPlane
from provider.framework.plan import Object, Plan
from provider.framework.types import UNKNOWN, Value


def uuids_of(interfaces: Value) -> Value:
    """network_uuids of network_interfaces."""
    if not isinstance(interfaces, list):
        return interfaces
    return [one["network_uuid"] if isinstance(one, dict) else UNKNOWN for one in interfaces]


def plan_networks(plan: Plan) -> None:
    """Both ways to state them agree; what changes in place and what needs a new VM."""
    config, planned, prior = plan.config, plan.planned, plan.prior
    stated = "network_interfaces" if config["network_interfaces"] is not None else "network_uuids"
    if config["network_uuids"] is not None and config["network_interfaces"] is None:
        networks = config["network_uuids"]
        planned["network_interfaces"] = (
            UNKNOWN if networks is UNKNOWN else [{"network_uuid": one, "static_ip": None} for one in networks]
        )
    elif config["network_interfaces"] is not None:
        planned["network_uuids"] = uuids_of(planned["network_interfaces"])
    if prior is None or not (plan.changes("network_uuids") or plan.changes("network_interfaces")):
        return
    after = planned["network_uuids"]
    known = after if isinstance(after, list) else []
    if config["default_network_uuid"] is None and prior["default_network_uuid"] not in known:
        planned["default_network_uuid"] = planned["ip"] = planned["mac"] = UNKNOWN
    same = set(known) == set(prior["network_uuids"] or [])
    if not same:
        planned["nics"] = UNKNOWN
    if not _in_place(prior, planned, stated):
        plan.replace += [(name,) for name in ("network_uuids", "network_interfaces") if plan.changes(name)]
        return
    if planned["power_state"] == "running" and not same:
        plan.diagnostics.warning(
            f"VM {prior['name']} gets and loses NICs while it runs",
            "The networks change in place. What the guest makes of a new NIC is up to its own network configuration.",
            (stated,),
        )


def _in_place(prior: Object, planned: Object, stated: str) -> bool:
    """Whatever networks they are that are not known yet: without wished addresses they come and go."""
    if stated == "network_uuids" and not any(one["static_ip"] for one in prior["network_interfaces"] or []):
        return True
    after = planned["network_interfaces"]
    if not isinstance(after, list) or not all(isinstance(one, dict) for one in after):
        return False
    had = {one["network_uuid"]: one["static_ip"] for one in prior["network_interfaces"] or []}
    return all(one["static_ip"] == had.get(one["network_uuid"], one["static_ip"]) for one in after)


def as_stated(networks: list[str], stated: Value) -> list[str]:
    """The VM's networks in the order that the configuration names them in, others after them."""
    known = stated if isinstance(stated, list) else []
    return [one for one in known if one in networks] + [one for one in networks if one not in known]


def attach_new(client: ControlPlane, prior: Object, planned: Object, limit: float) -> None:
    """Safe to repeat: only what the VM has no NIC on."""
    there = {nic["l3NetworkUuid"] for nic in _nics(client, prior["uuid"])}
    for one in planned["network_interfaces"] or []:
        if (network := one["network_uuid"]) not in there:
            wish = {"staticIp": one["static_ip"]} if one["static_ip"] else {}
            path = f"/vm-instances/{prior['uuid']}/l3-networks/{network}"
            client.create("AttachL3NetworkToVm", path, wish, timeout=limit)


def detach_gone(client: ControlPlane, prior: Object, planned: Object, limit: float) -> None:
    """Of the networks that the prior configuration named: what others attached stays."""
    gone = set(prior["network_uuids"] or []) - set(planned["network_uuids"] or [])
    for nic in _nics(client, prior["uuid"]):
        if nic["l3NetworkUuid"] in gone:
            client.delete("DetachL3NetworkFromVm", f"/vm-instances/nics/{nic['uuid']}", timeout=limit)


def _nics(client: ControlPlane, uuid: str) -> list[dict[str, Any]]:
    return (client.find("vm-instances", uuid) or {}).get("vmNics") or []
