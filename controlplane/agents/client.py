"""Talking to host agents: one method per call of `hostagent.contract`, errors turned into the control plane's own.

A `HostClient` finds its host's address when it first needs it and again after a failed connection, so that a changed
address needs no restart. Refused by the host → `ApiError`; not reachable, too slow or busy → `Temporary`, which the engine
repeats: every call is safe to repeat. Every call carries the node's generation, so a host can refuse a deposed node.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from pydantic import TypeAdapter, ValidationError
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from controlplane.agents.connection import Call, Connect, Connection, Unreachable
from controlplane.contract.error import ApiError, Temporary
from hostagent.contract import (
    ArrivalSpec,
    ArrivalStatus,
    DepartureSpec,
    DepartureStatus,
    ErrorClass,
    EventPage,
    ExportSpec,
    ExportStatus,
    HostFacts,
    ImageSpec,
    ImageStatus,
    ImportSpec,
    ImportStatus,
    Model,
    NetworkStatus,
    Problem,
    SnapshotSpec,
    StorageSpec,
    StorageStatus,
    UploadSpec,
    UploadStatus,
    VmSpec,
    VmStatus,
    VolumeSpec,
    VolumesSpec,
    VolumeStatus,
)

M = TypeVar("M", bound=Model)
Tls = Callable[[], ssl.SSLContext]
Query = dict[str, str | int]
Progress = Callable[[int, int], Awaitable[None]]
GENERATION_HEADER = "X-Steppe-Node-Generation"
_vms = TypeAdapter(list[VmStatus])
_volumes = TypeAdapter(list[VolumeStatus])
_storages = TypeAdapter(list[StorageStatus])
# The host's fixed codes in the control plane's; what is not here is an operation error.
_CODES = {
    "not_found": "SYS.1003",
    "no_space": "PS.1000",
    "storage_path": "PS.1000",
    "checksum_mismatch": "IMG.1000",
    "bad_image": "IMG.1000",
    "vlan_unsupported": "L2.1000",
    "interface_missing": "L2.1000",
    "internal": "SYS.1000",
}


@dataclass(frozen=True)
class Address:
    """Where an agent listens; `agent_uuid` is who must answer there ("" = not checked)."""

    ip: str
    port: int
    agent_uuid: str = ""

    @property
    def url(self) -> str:
        return f"https://{f'[{self.ip}]' if ':' in self.ip else self.ip}:{self.port}"


class HostProblem(ApiError):
    """A host's final refusal; `problem_code` is the agent's own fixed code."""

    def __init__(self, host: str, problem: Problem) -> None:
        detail = f" ({problem.detail})" if problem.detail else ""
        code = _CODES.get(problem.code, "SYS.1006")
        super().__init__(code, f"host {host}: {problem.message}{detail}")
        self.problem_code = problem.code


class ConsoleEnded(Exception):
    """The host's side of a console has ended."""


class ConsoleLine:
    """The bytes of one console; both calls raise `ConsoleEnded`."""

    def __init__(self, line: ClientConnection) -> None:
        self._line = line

    async def receive(self) -> bytes:
        try:
            data = await self._line.recv()
        except ConnectionClosed as error:
            raise ConsoleEnded from error
        return data if isinstance(data, bytes) else data.encode()

    async def send(self, data: bytes) -> None:
        try:
            await self._line.send(data)
        except ConnectionClosed as error:
            raise ConsoleEnded from error


class HostClient:
    """One host. Closed by `HostClients`."""

    def __init__(
        self,
        connection: Connection,
        address: Callable[[], Awaitable[Address]],
        generation: Callable[[], int],
        tls: Tls | None = None,
    ) -> None:
        self._connection = connection
        self._find_address = address
        self._generation = generation
        self._tls = tls
        self._address: Address | None = None

    async def facts(self) -> HostFacts:
        facts = await self._call(HostFacts, "GET", "/v1/host", timeout=10)
        if self._address and self._address.agent_uuid and facts.host_uuid != self._address.agent_uuid:
            raise ApiError("HOST.1001", f"another host agent answers at {self._address.ip}; enrol that host again")
        return facts

    async def put_storage(self, uuid: str, spec: StorageSpec) -> StorageStatus:
        return await self._call(StorageStatus, "PUT", f"/v1/storages/{uuid}", spec)

    async def list_storages(self) -> list[StorageStatus]:
        return _storages.validate_json(await self._send("GET", "/v1/storages"))

    async def delete_storage(self, uuid: str) -> None:
        await self._send("DELETE", f"/v1/storages/{uuid}")

    async def put_image(self, uuid: str, spec: ImageSpec, progress: Progress | None = None) -> ImageStatus:
        """Returns when the copy is on the host and verified; a failed copy is an `ApiError` (IMG.1000)."""
        while True:
            status = await self._call(ImageStatus, "PUT", f"/v1/images/{uuid}", spec, 60, {"wait": 20})
            if progress:
                await progress(status.bytes_done, status.bytes_total)
            if status.state == "ready":
                return status
            if status.state == "failed":
                failure = f"host {self._name()} could not copy image {uuid}: {status.error}"
                if status.error.startswith("unreachable:"):  # the host's code; it goes on where it stopped
                    raise Temporary(failure)
                raise ApiError("IMG.1000", failure)

    async def delete_image(self, uuid: str, storage_uuid: str) -> None:
        await self._send("DELETE", f"/v1/images/{uuid}", query={"storage_uuid": storage_uuid})

    async def put_volume(self, uuid: str, spec: VolumeSpec) -> VolumeStatus:
        """Returns when it is so, however long that takes."""
        while True:
            status = await self._call(VolumeStatus, "PUT", f"/v1/volumes/{uuid}", spec, 60, {"wait": 20})
            if status.state == "ready":
                return status

    async def put_volumes(self, spec: VolumesSpec) -> list[VolumeStatus]:
        return _volumes.validate_json(await self._send("PUT", "/v1/volumes", spec, timeout=120))

    async def get_volume(self, uuid: str, storage_uuid: str, path: str) -> VolumeStatus:
        query: Query = {"storage_uuid": storage_uuid, "path": path}
        return await self._call(VolumeStatus, "GET", f"/v1/volumes/{uuid}", query=query)

    async def delete_volume(self, uuid: str, storage_uuid: str, path: str) -> None:
        await self._send(
            "DELETE", f"/v1/volumes/{uuid}", timeout=120, query={"storage_uuid": storage_uuid, "path": path}
        )

    async def put_export(self, uuid: str, spec: ExportSpec) -> ExportStatus:
        return await self._call(ExportStatus, "PUT", f"/v1/exports/{uuid}", spec)

    async def delete_export(self, uuid: str) -> None:
        await self._send("DELETE", f"/v1/exports/{uuid}")

    async def put_import(self, uuid: str, spec: ImportSpec, wait: int) -> ImportStatus:
        """Begins or joins the copy and says after at most `wait` seconds how far it is."""
        return await self._call(ImportStatus, "PUT", f"/v1/imports/{uuid}", spec, wait + 30, {"wait": wait})

    async def delete_import(self, uuid: str, files: Literal["keep", "remove"]) -> None:
        await self._send("DELETE", f"/v1/imports/{uuid}", timeout=120, query={"files": files})

    async def put_arrival(self, vm_uuid: str, spec: ArrivalSpec) -> ArrivalStatus:
        return await self._call(ArrivalStatus, "PUT", f"/v1/arrivals/{vm_uuid}", spec, timeout=120)

    async def delete_arrival(self, vm_uuid: str) -> None:
        await self._send("DELETE", f"/v1/arrivals/{vm_uuid}")

    async def put_departure(self, vm_uuid: str, spec: DepartureSpec, wait: int) -> DepartureStatus:
        """Begins or joins the move and says after at most `wait` seconds how far it is."""
        query: Query = {"wait": wait}
        return await self._call(DepartureStatus, "PUT", f"/v1/departures/{vm_uuid}", spec, wait + 30, query)

    async def delete_departure(self, vm_uuid: str) -> None:
        """Returns when it is known whether the VM has left."""
        await self._send("DELETE", f"/v1/departures/{vm_uuid}", timeout=120)

    async def put_upload(self, uuid: str, spec: UploadSpec, progress: Progress) -> None:
        """Returns when the file is in the image store; a failed upload is an `ApiError` (IMG.1000)."""
        while True:
            status = await self._call(UploadStatus, "PUT", f"/v1/uploads/{uuid}", spec, 60, {"wait": 20})
            await progress(status.bytes_done, status.bytes_total)
            if status.state == "done":
                return
            if status.state == "failed":
                failure = f"host {self._name()} could not send image {uuid}: {status.error}"
                if status.error.startswith("unreachable:"):
                    raise Temporary(failure)
                raise ApiError("IMG.1000", failure)

    async def delete_upload(self, uuid: str) -> None:
        await self._send("DELETE", f"/v1/uploads/{uuid}")

    async def put_network(self, spec: SnapshotSpec) -> NetworkStatus:
        return await self._call(NetworkStatus, "PUT", "/v1/network", spec, timeout=120)

    async def get_network(self) -> NetworkStatus:
        return await self._call(NetworkStatus, "GET", "/v1/network")

    async def put_vm(self, uuid: str, spec: VmSpec) -> VmStatus:
        return await self._call(VmStatus, "PUT", f"/v1/vms/{uuid}", spec, timeout=120 + spec.stop_timeout)

    async def get_vm(self, uuid: str) -> VmStatus | None:
        """None when the host knows no such VM."""
        try:
            return await self._call(VmStatus, "GET", f"/v1/vms/{uuid}")
        except HostProblem as problem:
            if problem.problem_code == "not_found":
                return None
            raise

    async def list_vms(self) -> list[VmStatus]:
        return _vms.validate_json(await self._send("GET", "/v1/vms"))

    async def screenshot(self, uuid: str) -> bytes:
        return await self._send("GET", f"/v1/vms/{uuid}/screenshot")

    @contextlib.asynccontextmanager
    async def console(self, uuid: str, kind: str) -> AsyncIterator[ConsoleLine]:
        """Refused by the host → `ApiError`, not reachable → `Temporary`."""
        self._address = self._address or await self._find_address()
        url = f"{self._address.url}/v1/vms/{uuid}/consoles/{kind}".replace("http", "ws", 1)
        headers = {GENERATION_HEADER: str(self._generation())}
        tls = self._tls() if self._tls else None
        if tls is None:
            url = url.replace("wss", "ws", 1)
        try:
            line = await connect(
                url, ssl=tls, additional_headers=headers, compression=None, max_size=None, proxy=None, open_timeout=10
            )
        except InvalidStatus as error:
            raise self._error(error.response.status_code, bytes(error.response.body), "console") from error
        except (OSError, TimeoutError, WebSocketException) as error:
            raise Temporary(f"host agent at {self._address.ip} does not open a console: {error}") from error
        async with line:
            yield ConsoleLine(line)

    async def delete_vm(self, uuid: str) -> None:
        await self._send("DELETE", f"/v1/vms/{uuid}", timeout=120)

    async def events(self, after: int, wait: int = 25) -> EventPage:
        return await self._call(EventPage, "GET", "/v1/events", timeout=wait + 10, query={"after": after, "wait": wait})

    # -- transport -----------------------------------------------------------------------------------------------

    def _name(self) -> str:
        return self._address.ip if self._address else "?"

    async def _call(
        self,
        result: type[M],
        method: str,
        path: str,
        body: Model | None = None,
        timeout: float = 30,
        query: Query | None = None,
    ) -> M:
        answer = await self._send(method, path, body, timeout, query)
        try:
            return result.model_validate_json(answer)
        except ValidationError as error:
            raise ApiError("SYS.1000", f"host {self._name()} gave an unusable answer to {method} {path}") from error

    async def _send(
        self, method: str, path: str, body: Model | None = None, timeout: float = 30, query: Query | None = None
    ) -> bytes:
        address = self._address = self._address or await self._find_address()
        headers = {GENERATION_HEADER: str(self._generation()), "Content-Type": "application/json"}
        content = body.__pydantic_serializer__.to_json(body) if body else None
        try:
            status, answer = await self._connection.send(
                Call(method, address.url + path, headers, content, query or {}, timeout)
            )
        except Unreachable as error:
            where = f"{address.ip}:{address.port}"
            self._address = None  # it may have moved: look again next time; other calls may be under way
            raise Temporary(f"host agent at {where} does not answer {method} {path}: {error}") from error
        if 200 <= status < 300:
            return answer
        raise self._error(status, answer, f"{method} {path}")

    def _error(self, status: int, answer: bytes, call: str) -> Exception:
        try:
            problem = Problem.model_validate_json(answer)
        except ValidationError:
            if status in (502, 503, 504):
                return Temporary(f"host {self._name()} is busy: HTTP {status} to {call}")
            return ApiError("SYS.1000", f"host {self._name()} answered HTTP {status} to {call}")
        if problem.error_class == ErrorClass.temporary or problem.code == "stale_generation":
            # Stale: a newer wish reached the host first; whoever repeats the call computes its wish anew.
            return Temporary(f"host {self._name()}: {problem.message}")
        return HostProblem(self._name(), problem)


Lookup = Callable[[str], Awaitable[Address]]


class HostClients:
    """One client for each host, made when first asked for. `lookup` raises `ApiError` for an unknown host."""

    def __init__(
        self, connect: Connect, lookup: Lookup, generation: Callable[[], int] = lambda: 1, tls: Tls | None = None
    ) -> None:
        self._connect = connect
        self._lookup = lookup
        self._generation = generation
        self._tls = tls  # for consoles; None where hosts are joined without TLS
        self._clients: dict[str, tuple[HostClient, Connection]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def get(self, host_uuid: str) -> HostClient:
        if host_uuid not in self._clients:
            connection = self._connect()
            client = HostClient(connection, lambda: self._lookup(host_uuid), self._generation, self._tls)
            self._clients[host_uuid] = client, connection
        return self._clients[host_uuid][0]

    @contextlib.asynccontextmanager
    async def at(self, address: Address) -> AsyncIterator[HostClient]:
        """A host that the database knows no more."""

        async def find() -> Address:
            return address

        connection = self._connect()
        try:
            yield HostClient(connection, find, self._generation)
        finally:
            await connection.close()

    def forget(self, host_uuid: str) -> None:
        """The host was deleted or moved; calls under way finish or fail as `Temporary`."""
        if found := self._clients.pop(host_uuid, None):
            task = asyncio.ensure_future(found[1].close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def forget_all(self) -> None:
        """Certificates were renewed: the next calls make new connections."""
        for host_uuid in list(self._clients):
            self.forget(host_uuid)

    async def close(self) -> None:
        self.forget_all()
        await asyncio.gather(*self._closing, return_exceptions=True)
