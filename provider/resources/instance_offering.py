"""steppe_instance_offering: a size for VMs."""

from provider.framework import validate
from provider.framework.schema import Schema, required
from provider.framework.types import NUMBER
from provider.resources.base import Table, identity, timeouts
from provider.resources.enablement import state

MINIMUM_MEMORY = 16 << 20  # bytes


class InstanceOffering(Table):
    type_name = "steppe_instance_offering"
    collection = "instance-offerings"
    create_api = ("CreateInstanceOffering", "/instance-offerings")
    update_action = "updateInstanceOffering"
    delete_api = "DeleteInstanceOffering"
    state_action = "changeInstanceOfferingState"
    creates_with = ("cpu_num", "memory_size")
    constants = {"cpuSpeed": 1000}
    schema = Schema(
        identity("offering")
        | {
            "cpu_num": required(
                NUMBER, "Number of virtual CPUs, 1 to 1024.", replace=True, validators=(validate.between(1, 1024),)
            ),
            "memory_size": required(
                NUMBER,
                "Memory in bytes, at least 16 MiB, e.g. `512 * 1024 * 1024`.",
                replace=True,
                validators=(validate.between(MINIMUM_MEMORY, 2**63 - 1),),
            ),
        }
        | state("A disabled one makes no new VMs.")
        | timeouts(),
        "An instance offering: the CPUs and the memory that a VM gets.",
    )
