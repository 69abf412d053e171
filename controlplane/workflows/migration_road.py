"""The way of a guest that runs from one host to another, seen from the control plane: a door there, a departure here.

It is addressed by the VM's uuid, so every call may be repeated; the secret between the two hosts is made anew for each try
and kept nowhere. Whether the guest has left is asked of the host that it leaves: only when that says so has it.
"""

import logging
import secrets
import time
from typing import Any

from controlplane.contract.error import ApiError, Temporary, refused
from controlplane.operations.interface import Operation
from controlplane.workflows.host_connection import address_of
from controlplane.workflows.left_standing import gone_on
from controlplane.workflows.migration_copy import Copy
from controlplane.workflows.vm_spec import console_password, power_on
from controlplane.workflows.world import World
from hostagent.contract import ArrivalSpec, DepartureSpec, VmSpec, VmStatus
from hostagent.contract.vm import VmState

_OPEN, _SILENT = 86_400, 120.0  # seconds: the door, until a source that does not answer is asked from the beginning
_LOOK = 2  # seconds between two reports of progress
log = logging.getLogger("steppe.migration")
Json = dict[str, Any]


class Road:
    """`begun` is what the move began with."""

    def __init__(self, op: Operation[World], uuid: str, begun: Json, bandwidth: int | None) -> None:
        self._op, self._uuid, self._begun, self._bandwidth = op, uuid, begun, bandwidth
        self._source, self._dest = begun["source"], begun["dest"]
        self._since: float | None = None  # when a way back was tried first

    async def go(self, name: str) -> None:
        """The guest stands still on the destination and is off on the source. May run again at any point."""
        if not await self._has_left(self._source):
            await self._carry(self._source, self._dest, self._begun["spec"], name)
        if not await self._stands_still(self._dest):
            raise refused(f"the VM left host {self._source} and did not arrive on {self._begun['dest_name']}")

    async def come_back(self, copy: Copy) -> None:
        """Undo of `go`: the guest runs on the source, the destination knows nothing of it. May run again at any point."""
        hosts, spec = self._op.world.hosts, self._begun["spec_before"]

        async def bring_back() -> None:
            await hosts.get(self._source).delete_departure(self._uuid)
            has_left = await self._has_left(self._source)
            if has_left:  # a destination that is lost keeps it standing still until it is told otherwise
                await copy.if_up(self._dest, self._fetch)
            if has_left or await self._stands_still(self._source):
                await power_on(self._op.world, self._source, self._uuid, spec)

        async def forget() -> None:
            client = hosts.get(self._dest)
            await client.delete_departure(self._uuid)
            await client.delete_arrival(self._uuid)
            await client.delete_vm(self._uuid)

        await copy.if_up(self._source, bring_back)
        await copy.if_up(self._dest, forget)
        await copy.if_up(self._source, lambda: hosts.get(self._source).delete_arrival(self._uuid))

    async def _fetch(self) -> None:
        """The guest comes back as it went. If that cannot be, its memory is lost, as by a power cut; its disks are on the
        source as it left them."""
        if not await self._stands_still(self._dest):
            return
        self._since = self._since or time.monotonic()
        try:
            await self._carry(self._dest, self._source, self._begun["spec_before"], "back", returns=True)
        except (ApiError, Temporary) as error:
            if isinstance(error, Temporary) and time.monotonic() - self._since < _SILENT:
                raise
            log.warning("VM %s starts anew on host %s, it cannot come back: %s", self._uuid, self._source, error)
            await self._op.world.hosts.get(self._dest).delete_vm(self._uuid)

    async def resume(self) -> None:
        await power_on(self._op.world, self._dest, self._uuid, self._begun["spec"])
        await self._op.world.db.write(lambda tx: gone_on(tx, self._uuid))

    async def forget(self) -> None:
        await self._op.world.hosts.get(self._dest).delete_arrival(self._uuid)
        await self._op.world.hosts.get(self._source).delete_vm(self._uuid)

    async def _carry(self, here: str, there: str, spec: Json, name: str, returns: bool = False) -> None:
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
            returns=returns,
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
