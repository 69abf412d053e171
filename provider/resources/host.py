"""steppe_host: a KVM server whose agent has enrolled."""

from urllib.parse import quote

from provider.framework import validate
from provider.framework.plan import Plan
from provider.framework.schema import Schema, computed, required
from provider.framework.types import NUMBER, STRING
from provider.resources.base import Table, identity, reference, timeouts


class Host(Table):
    type_name = "steppe_host"
    collection = "hosts"
    create_api = ("AddKVMHost", "/hosts/kvm")
    update_action = "updateHost"
    delete_api = "DeleteHost"
    creates_with = ("management_ip", "cluster_uuid")
    updates = ("management_ip",)
    schema = Schema(
        identity("host")
        | {
            "management_ip": required(
                STRING,
                "Address at which the control plane reaches the host's agent; the agent has enrolled from there.",
                validators=(validate.length(1, 255),),
            ),
            "cluster_uuid": reference("the cluster that the host joins"),
            "zone_uuid": computed(STRING, "UUID of the zone of the cluster."),
            "state": computed(STRING, "`Enabled`, `Disabled`, `PreMaintenance` or `Maintenance`."),
            "status": computed(STRING, "`Connected`, `Connecting` or `Disconnected`."),
            "domain_type": computed(STRING, "What runs guests: `kvm`, or `qemu` where KVM cannot run a Linux kernel."),
            "total_cpu_capacity": computed(NUMBER, "Virtual CPUs that the host may give to VMs."),
            "total_memory_capacity": computed(NUMBER, "Memory that the host may give to VMs, in bytes."),
        }
        | timeouts(),
        "A KVM host. Its agent must have enrolled; creating waits until the host is `Connected`.",
    )

    def modify_plan(self, plan: Plan) -> None:
        """A server that is not installed yet is left for a later plan, where Terraform can do that."""
        address, client = plan.planned["management_ip"], plan.client
        if plan.prior is not None or client is None or not isinstance(address, str):
            return
        if client.get(f"/hosts/agents?managementIp={quote(address, safe='')}")["inventories"]:
            return
        detail = (
            f"`steppe-hostagent enroll --management-ip {address}` on that server makes it known to the control plane. "
        )
        if plan.may_wait:
            plan.deferred = "absent prerequisite"
            detail += "It is left for a later plan and apply."
        else:
            detail += "The apply needs that."
        plan.diagnostics.warning(f"No agent has enrolled from {address}", detail, ("management_ip",))
