"""What is refused of a NIC before anything is stored, and the networks that a VM could have one on."""

from typing import Any

from controlplane.contract.l3_network import L3NetworkInventory
from controlplane.contract.nic import AttachL3NetworkToVm, GetVmAttachableL3Network
from controlplane.rules.ipv4 import address
from controlplane.services.registry import Caller, answers, checks
from controlplane.store import ownership, rows
from controlplane.store.database import Tx
from controlplane.store.relations import fill
from controlplane.workflows.nic import attachable, check_attach
from controlplane.workflows.world import World


@checks(AttachL3NetworkToVm)
def can_be_attached(tx: Tx, message: AttachL3NetworkToVm) -> None:
    if message.static_ip:
        address(message.static_ip, "staticIp")
    check_attach(tx, message.vm_instance_uuid, message.l3_network_uuid, settled=False)


@answers(GetVmAttachableL3Network)
async def networks_for(world: World, caller: Caller, message: GetVmAttachableL3Network) -> dict[str, Any]:
    def read(tx: Tx) -> list[rows.Row]:
        found = ownership.seen(tx, caller.viewer, "L3NetworkVO", attachable(tx, message.vm_instance_uuid))
        return fill(tx, "L3NetworkVO", found)

    return {"inventories": [L3NetworkInventory.model_validate(row).wire() for row in await world.db.read(read)]}
