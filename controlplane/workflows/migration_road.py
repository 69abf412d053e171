"""The way of a guest that runs from one host to another, seen from the control plane: a door there, a departure here.

It is addressed by the VM's uuid, so every call may be repeated; the secret between the two hosts is made anew for each try
and kept nowhere. Whether the guest has left is asked of the host that it leaves: only when that says so has it.
"""

import secrets
import time
from typing import Any

from controlplane.contract.error import ApiError, Temporary, refused
from controlplane.operations.interface import Operation
from controlplane.workflows.host_connection import address_of
from controlplane.workflows.migration_copy import Copy
from controlplane.workflows.vm_spec import console_password, power_on
from controlplane.workflows.world import World
from hostagent.contract import ArrivalSpec, DepartureSpec, VmSpec, VmStatus
from hostagent.contract.vm import VmState

_OPEN, _SILENT = 86_400, 120.0  # seconds: the door, until a source that does not answer is asked from the beginning
_LOOK = 2  # seconds between two reports of progress
Json = dict[str, Any]


class Road:
    """`begun` is what the move began with."""

    def __init__(self, op: Operation[World], uuid: str, begun: Json, bandwidth: int | None) -> None:
        self._op, self._uuid, self._begun, self._bandwidth = op, uuid, begun, bandwidth
        self._source, self._dest = begun["source"], begun["dest"]

    async def go(self, name: str) -> None:
        """The guest stands still on the destination and is off on the source. May run again at any point."""
        if not await self._has_left(self._source):
            await self._carry(self._source, self._dest, self._begun["spec"], name)
        if not await self._stands_still(self._dest):
            raise refused(f"the VM left host {self._source} and did not arrive on {self._begun['dest_name']}")

    async def come_back(self, copy: Copy) -> None:
        """Undo of `go`: the guest runs on the source, the destination knows nothing of it."""

        async def bring_back() -> None:
            await self._op.world.hosts.get(self._source).delete_departure(self._uuid)
            if not await self._has_left(self._source):
                return
            spec = self._begun["spec_before"]
            if await self._stands_still(self._dest):
                try:
                    await self._carry(self._dest, self._source, spec, "back")
                except ApiError:  # its memory is lost, as by a power cut; its disks are as it left them
                    await self._op.world.hosts.get(self._dest).delete_vm(self._uuid)
            await power_on(self._op.world, self._source, self._uuid, spec)

        async def forget() -> None:
            client = self._op.world.hosts.get(self._dest)
            await client.delete_departure(self._uuid)
            await client.delete_arrival(self._uuid)
            await client.delete_vm(self._uuid)

        await copy.if_up(self._source, bring_back)
        await copy.if_up(self._dest, forget)
        await copy.if_up(self._source, lambda: self._op.world.hosts.get(self._source).delete_arrival(self._uuid))

    async def resume(self) -> None:
        await power_on(self._op.world, self._dest, self._uuid, self._begun["spec"])

    async def forget(self) -> None:
        await self._op.world.hosts.get(self._dest).delete_arrival(self._uuid)
        await self._op.world.hosts.get(self._source).delete_vm(self._uuid)

    async def _carry(self, here: str, there: str, spec: Json, name: str) -> None:
        hosts = self._op.world.hosts
        await hosts.get(here).delete_departure(self._uuid)  # of an earlier try, whose secret nobody knows any more
        if await self._has_left(here):
            return
        peer, dest = await address_of(self._op.world.db, here), await address_of(self._op.world.db, there)
        secret = secrets.token_hex(32)
        vm = VmSpec.model_validate(
            spec | {"power": "stopped", "console_password": console_password(self._op.world, self._uuid)}
        )
        arrival = ArrivalSpec(vm=vm, peer_agent_uuid=peer.agent_uuid, secret=secret, expires_in=_OPEN)
        door = await hosts.get(there).put_arrival(self._uuid, arrival)
        departure = DepartureSpec(
            generation=spec["generation"],
            dest_ip=dest.ip,
            dest_port=door.port,
            dest_agent_uuid=dest.agent_uuid,
            secret=secret,
            directory=door.directory,
            serial_log=door.serial_log,
            console_listen=spec["console_listen"],
            bytes_per_second=self._bandwidth or 0,
        )
        await self._watch(here, departure, name)

    async def _watch(self, here: str, departure: DepartureSpec, name: str) -> None:
        client, heard = self._op.world.hosts.get(here), time.monotonic()
        while True:
            try:
                status = await client.put_departure(self._uuid, departure, _LOOK)
            except Temporary:
                if time.monotonic() - heard > _SILENT:
                    raise
                continue
            heard = time.monotonic()
            await self._op.progress(status.bytes_done, status.bytes_total, f"moving {name}", status.bytes_per_second)
            if status.state == "left":
                return
            if status.state == "failed":
                code, _, why = status.error.partition(": ")
                raise Temporary(why) if code == "unreachable" else refused(f"the hosts could not move it: {why}")

    async def _has_left(self, host: str) -> bool:
        status = await self._op.world.hosts.get(host).get_vm(self._uuid)
        return status is not None and status.migration == "left"

    async def _stands_still(self, host: str) -> bool:
        status: VmStatus | None = await self._op.world.hosts.get(host).get_vm(self._uuid)
        return status is not None and status.state is VmState.paused and not status.migration
