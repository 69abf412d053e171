"""steppe_host: a KVM server whose agent has enrolled."""

from typing import Any
from urllib.parse import quote

from provider.framework import validate
from provider.framework.plan import Object, Plan
from provider.framework.schema import Schema, computed, optional, required
from provider.framework.types import BOOL, NUMBER, STRING
from provider.resources.base import Table, identity, reference, timeouts
from provider.resources.enablement import state


class Host(Table):
    type_name = "steppe_host"
    collection = "hosts"
    create_api = ("AddKVMHost", "/hosts/kvm")
    update_action = "updateHost"
    delete_api = "DeleteHost"
    state_action = "changeHostState"
    creates_with = ("management_ip", "cluster_uuid")
    updates = ("management_ip",)
    limits = {"update": "6h"}
    schema = Schema(
        identity("host")
        | {
            "management_ip": required(
                STRING,
                "Address at which the control plane reaches the host's agent; the agent has enrolled from there.",
                validators=(validate.length(1, 255),),
            ),
            "cluster_uuid": reference("the cluster that the host joins"),
            "allow_restart": optional(
                BOOL,
                "Whether `Maintenance` may stop, move and start a running VM that cannot move while it runs; else that "
                "is refused, and the error names each such VM.",
                default=False,
            ),
            "leave_stopped": optional(
                BOOL,
                "Whether `Maintenance` leaves the stopped VMs where they are, instead of moving them.",
                default=False,
            ),
            "zone_uuid": computed(STRING, "UUID of the zone of the cluster."),
            "status": computed(STRING, "`Connected`, `Connecting` or `Disconnected`."),
            "domain_type": computed(STRING, "What runs guests: `kvm`, or `qemu` where KVM cannot run a Linux kernel."),
            "total_cpu_capacity": computed(NUMBER, "Virtual CPUs that the host may give to VMs."),
            "total_memory_capacity": computed(NUMBER, "Memory that the host may give to VMs, in bytes."),
        }
        | state(
            "A disabled host takes no VMs; those that run there go on. `Maintenance` takes the VMs away first, one by one, "
            "while they run where that is possible; until all are gone the state is `PreMaintenance`.",
            maintenance=True,
        )
        | timeouts(update="6h"),
        "A KVM host. Its agent must have enrolled; creating waits until the host is `Connected`.",
    )

    def modify_plan(self, plan: Plan) -> None:
        """What goes into maintenance is emptied: say of how much. A new one must have enrolled."""
        prior, client = plan.prior, plan.client
        if prior is None:
            _must_have_enrolled(plan)
            return
        if client is None or not plan.changes("state") or plan.planned["state"] != "Maintenance":
            return
        running = client.query("vm-instances", hostUuid=prior["uuid"])
        if running:
            names = ", ".join(sorted(one["name"] for one in running)[:10]) + (", …" if len(running) > 10 else "")
            how = "moved, restarted where they cannot move while they run" if plan.planned["allow_restart"] else "moved"
            summary = f"Host {prior['name']} will be emptied"
            plan.diagnostics.warning(summary, f"{len(running)} running VMs will be {how}: {names}.", ("state",))

    def state_parameters(self, planned: Object) -> dict[str, Any]:
        if planned["state"] != "Maintenance":
            return {}
        return {"restartVms": planned["allow_restart"], "leaveStopped": planned["leave_stopped"]}


def _must_have_enrolled(plan: Plan) -> None:
    """A server that is not installed yet is left for a later plan, where Terraform can do that."""
    address, client = plan.planned["management_ip"], plan.client
    if client is None or not isinstance(address, str):
        return
    if client.get(f"/hosts/agents?managementIp={quote(address, safe='')}")["inventories"]:
        return
    detail = f"`steppe-hostagent enroll --management-ip {address}` on that server makes it known to the control plane. "
    if plan.may_wait:
        plan.deferred = "absent prerequisite"
        detail += "It is left for a later plan and apply."
    else:
        detail += "The apply needs that."
    plan.diagnostics.warning(f"No agent has enrolled from {address}", detail, ("management_ip",))
