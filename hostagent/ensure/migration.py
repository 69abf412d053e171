"""A running VM comes from another host (`Arrivals`), or goes to one (`Departures`).

The guest never runs on both: it leaves standing still, and goes on where the next PUT of the VM says so. That it has left
is remembered over restarts. A door that is open, and a departure under way, are not: both end with the agent, and the
guest goes on where it was.
"""

import asyncio
import contextlib
import time
from dataclasses import dataclass, field

from hostagent.contract import ArrivalSpec, ArrivalStatus, DepartureSpec, DepartureStatus, HostError, VmSpec
from hostagent.contract.error import temporary
from hostagent.contract.vm import VmState
from hostagent.ensure.generations import Generations
from hostagent.ensure.vm import OFF, Vms
from hostagent.ports.hypervisor import Departure, Hypervisor
from hostagent.ports.peers import TUNNELS, Admitted, Gauge, Grant, Peers, Source

RATE_OVER = 5.0  # seconds


class Arrivals:
    """`libvirt_socket`: of this host's daemon; `directory`: where the sockets of moves are."""

    def __init__(self, vms: Vms, hypervisor: Hypervisor, peers: Peers, directory: str, libvirt_socket: str) -> None:
        self._vms = vms
        self._hypervisor = hypervisor
        self._peers = peers
        self._directory = directory
        self._libvirt_socket = libvirt_socket

    async def put(self, uuid: str, spec: ArrivalSpec) -> ArrivalStatus:
        """Once the VM is coming, or here, its definition is left alone."""
        known = await self._hypervisor.get(uuid)
        if known is None or known.state in OFF:
            status = await self._vms.put(uuid, spec.vm.model_copy(update={"power": "stopped", "stop_timeout": 0}))
        else:
            status = await self._vms.get(uuid)
        directory = f"{self._directory}/{uuid}"
        sockets = {name: f"{directory}/{name}" for name in TUNNELS} | {"libvirt": self._libvirt_socket}
        grant = Grant(
            uuid=uuid,
            peer_agent_uuid=spec.peer_agent_uuid,
            paths={},
            secret=spec.secret,
            seconds=spec.expires_in,
            sockets=sockets,
            admitted=self._admitted(uuid, spec.vm, status.serial_log, directory),
            directory=directory,
        )
        port = await self._peers.serve(grant)
        return ArrivalStatus(uuid=uuid, port=port, directory=directory, serial_log=status.serial_log)

    def _admitted(self, uuid: str, vm: VmSpec, serial_log: str, directory: str) -> Admitted:
        domain = self._vms.domain(uuid, vm)
        files = {disk.path for disk in domain.disks} | {cd for cd in domain.cds if cd}
        return Admitted(
            vm_uuid=uuid,
            files=frozenset(files | {serial_log, f"{serial_log.removesuffix('.log')}.sock"}),
            ports=frozenset((nic.bridge, nic.tap) for nic in domain.nics),
            console_listen=domain.console_listen,
            sockets=frozenset(f"{directory}/{name}" for name in TUNNELS if name != "libvirt"),
        )

    async def delete(self, uuid: str) -> None:
        await self._peers.revoke(uuid)


@dataclass
class _Going:
    spec: DepartureSpec
    gauge: Gauge
    task: asyncio.Task[None] | None = None
    error: HostError | None = None
    seen: list[tuple[float, int]] = field(default_factory=list)  # when how many bytes were there

    @property
    def running(self) -> bool:
        return self.task is not None and not self.task.done()

    def rate(self) -> int:
        """Bytes a second over the last seconds in which somebody asked."""
        now, done = time.monotonic(), self.gauge.done
        self.seen = [(then, was) for then, was in self.seen if now - then < RATE_OVER] + [(now, done)]
        then, was = self.seen[0]
        return int((done - was) / (now - then)) if now > then else 0


class Departures:
    def __init__(self, vms: Vms, hypervisor: Hypervisor, peers: Peers, generations: Generations) -> None:
        self._vms = vms
        self._hypervisor = hypervisor
        self._peers = peers
        self._generations = generations
        self._going: dict[str, _Going] = {}

    async def put(self, uuid: str, spec: DepartureSpec, wait: float = 20.0) -> DepartureStatus:
        """Begin or join it, wait up to `wait` seconds, say how far it is. One that failed is begun anew."""
        going = self._going.get(uuid)
        if going is None or not going.running:
            status = await self._vms.get(uuid)
            if status.migration == "left":
                return DepartureStatus(uuid=uuid, state="left")
            self._generations.accept("vm", uuid, spec.generation)
            wanted = VmState.paused if spec.returns else VmState.running
            if status.state is not wanted:
                return DepartureStatus(uuid=uuid, state="failed", error=f"not_{wanted}: the VM is {status.state}")
            going = self._going[uuid] = _Going(spec, Gauge(limit=spec.bytes_per_second))
            going.task = asyncio.create_task(self._run(uuid, going))
        assert going.task is not None
        if wait > 0:
            await asyncio.wait([going.task], timeout=wait)
        if going.running:
            gauge = going.gauge
            return DepartureStatus(
                uuid=uuid,
                state="moving",
                bytes_done=gauge.done,
                bytes_total=gauge.total,
                bytes_per_second=going.rate(),
            )
        if going.error is None:
            return DepartureStatus(uuid=uuid, state="left", bytes_done=going.gauge.total, bytes_total=going.gauge.total)
        problem = going.error.problem
        return DepartureStatus(uuid=uuid, state="failed", error=f"{problem.code}: {problem.message}")

    async def delete(self, uuid: str) -> None:
        """Returns when it is known whether the VM has left."""
        going = self._going.pop(uuid, None)
        if going is not None and going.task is not None and going.running:
            going.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([going.task])

    async def close(self) -> None:
        for uuid in list(self._going):
            await self.delete(uuid)

    async def _run(self, uuid: str, going: _Going) -> None:
        spec, broken = going.spec, ""
        source = Source(spec.dest_ip, spec.dest_port, spec.dest_agent_uuid, uuid, spec.secret)
        try:
            await self._peers.open_tunnel(source, spec.directory)
            try:
                departure = Departure(spec.directory, spec.serial_log, spec.console_listen, with_disks=not spec.returns)
                await self._hypervisor.migrate(uuid, departure, going.gauge)
            finally:
                broken = await self._peers.close_tunnel(spec.directory)
                await self._note(uuid)
        except HostError as error:
            going.error = temporary("unreachable", broken) if broken else error
            if await self._has_left(uuid):  # an answer was lost, nothing else
                going.error = None

    async def _note(self, uuid: str) -> None:
        if await self._has_left(uuid):
            self._generations.note("vm", uuid, left=True)

    async def _has_left(self, uuid: str) -> bool:
        with contextlib.suppress(HostError):
            return (await self._vms.get(uuid)).migration == "left"
        return False
