"""How far a guest has come: asked of its host's network services, whose counts are kept nowhere else."""

from typing import Any

from controlplane.contract.boot_progress import BootProgressReply, GetVmBootProgress
from controlplane.contract.error import ApiError, Temporary
from controlplane.services.registry import Caller, answers
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows.inventories import must_get
from controlplane.workflows.world import World


@answers(GetVmBootProgress)
async def progress(world: World, _caller: Caller, message: GetVmBootProgress) -> dict[str, Any]:
    """Of a stopped VM: what its last host still counts, and a start there goes on from."""

    def read(tx: Tx) -> tuple[rows.Row, list[rows.Row]]:
        vm = must_get(tx, "VmInstanceVO", message.uuid)
        default = {"vm_instance_uuid": message.uuid, "l3_network_uuid": vm["default_l3_network_uuid"]}
        return vm, rows.find(tx, "VmNicVO", **default)

    vm, nics = await world.db.read(read)
    host = vm["host_uuid"] or vm["last_host_uuid"]
    acks, reads, homes = await _counts(world, vm, host) if host else ({}, {}, {})
    return BootProgressReply(
        state=vm["state"],
        host_uuid=host,
        dhcp_acks=sum(acks.get(nic["uuid"], 0) for nic in nics),
        metadata_reads=reads.get(message.uuid, 0),
        phone_homes=homes.get(message.uuid, 0),
    ).wire()


async def _counts(world: World, vm: rows.Row, host: str) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    try:
        seen = await world.hosts.get(host).get_network()
    except Temporary as error:
        if vm["host_uuid"]:
            raise ApiError("SYS.1006", f"the host of VM {vm['name']} does not answer: {error}") from error
        return {}, {}, {}
    return seen.dhcp_acks, seen.metadata_reads, seen.phone_homes
