"""A whole cloud in one process: the real database, engine and workflows, and real host agents over simulated hosts.

`cloud(tmp_path, hosts=2)` starts with a zone, a cluster, connected hosts with a local storage, an image, offerings, an L2
and an L3 network with DHCP and Userdata. Calls go the way of every request: checks, journal, workflow.
"""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from controlplane.agents.client import Address, HostClients
from controlplane.agents.connection import Call, Unreachable
from controlplane.contract.error import ApiError, ErrorCode
from controlplane.contract.parse import parse
from controlplane.contract.registry import apis
from controlplane.main import import_all
from controlplane.operations.engine import Engine
from controlplane.services.dispatch import dispatch
from controlplane.services.registry import Caller
from controlplane.store import rows, schema
from controlplane.store.database import Database
from controlplane.store.journal import StoreJournal
from controlplane.workflows import host_connection, image_source, image_store, network_service
from controlplane.workflows.network_sync import NetworkSync
from controlplane.workflows.registration import engine_registry
from controlplane.workflows.world import Settings, World
from hostagent.api.app import create_app
from hostagent.sim.host import SimHost, agent

GIB = 1 << 30
PATIENCE = 20.0
ADMIN = Caller("36c27e8ff05c4780bf6d2fa65700f22e", "0" * 32, True)


class Cloud:
    """`call` runs one API to its end and returns its inventory (or its members); it raises the API's error."""

    def __init__(self, world: World, engine: Engine[World], sims: dict[str, SimHost]) -> None:
        self.world, self.engine, self.sims = world, engine, sims
        self.zone = self.cluster = self.storage = self.image = self.iso = self.offering = self.disk = ""
        self.l2 = self.l3 = self.flat = ""

    @property
    def hosts(self) -> list[str]:
        return list(self.sims)

    async def call(self, api: str, /, *, caller: Caller = ADMIN, **parameters: Any) -> Any:
        result = await self.answer(api, caller=caller, **parameters)
        return result.get("inventory", result.get("inventories", result)) if result else result

    async def answer(self, api: str, /, *, caller: Caller = ADMIN, **parameters: Any) -> Any:
        """The whole answer."""
        message = parse(apis[api], parameters)
        result = await dispatch(self.world, self.engine, caller, message)
        if isinstance(result, str):
            status = await self.engine.wait(result, PATIENCE)
            assert status is not None and status.ended, f"{api} did not end: {status}"
            if status.state != "done":
                raise Refused(ErrorCode.model_validate(status.error), status.state)
            result = status.result
        return result

    async def vm(self, name: str = "vm", **parameters: Any) -> Any:
        return await self.call("CreateVmInstance", **{**self.standard(), "name": name, **parameters})

    def standard(self) -> dict[str, Any]:
        """Of a VM that can be made."""
        return {
            "name": "vm",
            "instanceOfferingUuid": self.offering,
            "imageUuid": self.image,
            "l3NetworkUuids": [self.l3],
        }

    async def get(self, resource: str, uuid: str) -> Any:
        return await self.world.db.read(lambda tx: rows.get(tx, resource, uuid))

    async def find(self, resource: str, **where: Any) -> list[Any]:
        return await self.world.db.read(lambda tx: rows.find(tx, resource, **where))

    def seen(self) -> dict[str, Any]:
        """Everything on every host, by name. Image copies are a cache and do not count."""
        found = {sim.name: sim.snapshot() for sim in self.sims.values()}
        for host in found.values():
            del host["images"]
        return found

    @property
    def spare_ip(self) -> str:
        """Of the last host."""
        return management_ip(len(self.sims) - 1)


class Refused(ApiError):
    """The error of a job."""

    def __init__(self, error: ErrorCode, state: str) -> None:
        super().__init__(error.code, error.details, error.cause, error.field)
        self.state = state


@contextlib.asynccontextmanager
async def cloud(
    tmp_path: Path, hosts: int = 2, spare: int = 0, db: Database | None = None, **capacity: Any
) -> AsyncIterator[Cloud]:
    """`spare` hosts have enrolled and are not added. `capacity`: see `SimHost`."""
    import_all()
    database = db or Database(f"sqlite:///{tmp_path}/steppe.db")
    schema.upgrade(database)
    names = [f"host{number}" for number in range(hosts + spare)]
    sims = {uuid4().hex: agent(name, **capacity)[1] for name in names}
    async with joined(database, sims, tmp_path) as world, running(world) as engine:
        made = Cloud(world, engine, sims)
        await populate(made, hosts)
        yield made
    if db is None:
        database.close()


def management_ip(number: int) -> str:
    return f"10.9.0.{number + 1}"


@contextlib.asynccontextmanager
async def joined(
    db: Database, sims: dict[str, SimHost], state_dir: Path, wrap: Callable[[Any], Any] = lambda inner: inner
) -> AsyncIterator[World]:
    """A world over a database and simulated hosts, whose agents start. `wrap` stands between them."""
    async with contextlib.AsyncExitStack() as stack:
        apps: dict[str, Any] = {}
        for number, (uuid, sim) in enumerate(sims.items()):
            host_agent = sim.boot_agent(uuid)
            sim.uploads.deliver = lambda url, content: _receive(db, state_dir, url, content)
            apps[management_ip(number)] = create_app(host_agent)
            await host_agent.open()
            stack.push_async_callback(host_agent.close)
        clients = HostClients(lambda: InProcess(wrap(Router(apps))), lambda uuid: _address(db, uuid))
        stack.push_async_callback(clients.close)
        network = NetworkSync(db, clients)
        stack.push_async_callback(network.close)
        settings = Settings(state_dir, "sim://images", file_image_dirs=(state_dir / "import",))
        yield World(db, clients, network, settings)


@contextlib.asynccontextmanager
async def running(world: World) -> AsyncIterator[Engine[World]]:
    engine = world.engine = Engine(StoreJournal(world.db), engine_registry(), world, uuid4().hex)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


class InProcess:
    """A `Connection` without a network."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._http = httpx.AsyncClient(transport=transport)

    async def send(self, call: Call) -> tuple[int, bytes]:
        try:
            answer = await self._http.request(
                call.method, call.url, params=call.query, headers=call.headers, content=call.body, timeout=call.timeout
            )
        except httpx.TransportError as error:
            raise Unreachable(str(error)) from error
        return answer.status_code, answer.content

    async def close(self) -> None:
        await self._http.aclose()


class Router(httpx.AsyncBaseTransport):
    """Requests to a management address reach the agent application behind it."""

    def __init__(self, apps: dict[str, Any]) -> None:
        self._apps = {ip: httpx.ASGITransport(app) for ip, app in apps.items()}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._apps[request.url.host].handle_async_request(request)


def _receive(db: Database, state_dir: Path, url: str, content: bytes) -> None:
    """What the control plane does with an image that a host sends."""
    uuid = url.rpartition("/")[2]

    def find(tx: Any) -> tuple[str, str]:
        ref = rows.find(tx, "ImageBackupStorageRefVO", image_uuid=uuid, order_by=["id"])[0]
        store = rows.get(tx, "BackupStorageVO", ref["backup_storage_uuid"])
        assert store
        return store["url"], ref["install_path"]

    store, path = db.read_now(find)
    final = image_store.directory(state_dir, store) / path
    final.parent.mkdir(parents=True, exist_ok=True)
    image_source.uploaded(final).write_bytes(content)


async def _address(db: Database, uuid: str) -> Address:
    host = await db.read(lambda tx: rows.get(tx, "HostVO", uuid))
    assert host
    return Address(host["management_ip"], 7070)


async def populate(made: Cloud, hosts: int) -> None:
    db = made.world.db
    await db.write(lambda tx: network_service.seed(tx, uuid4().hex))
    made.flat = (await made.call("QueryNetworkServiceProvider"))[0]["uuid"]
    made.zone = (await made.call("CreateZone", name="zone"))["uuid"]
    cluster = await made.call("CreateCluster", name="cluster", zoneUuid=made.zone, hypervisorType="KVM")
    made.cluster = cluster["uuid"]
    storage = await made.call("AddLocalPrimaryStorage", name="local", url="/var/lib/steppe", zoneUuid=made.zone)
    made.storage = storage["uuid"]
    await made.call("AttachPrimaryStorageToCluster", clusterUuid=made.cluster, primaryStorageUuid=made.storage)
    for number, uuid in enumerate(made.sims):
        ip = management_ip(number)
        await db.write(
            lambda tx, uuid=uuid, ip=ip: rows.insert(tx, "HostAgentVO", uuid=uuid, management_ip=ip, port=7070)
        )
        if number < hosts:
            await db.write(lambda tx, uuid=uuid, ip=ip: _host(tx, made, uuid, ip))
            await host_connection.connect(made.world, uuid)
    made.image = await db.write(lambda tx: image_row(tx, "template", "qcow2", "RootVolumeTemplate"))
    made.iso = await db.write(lambda tx: image_row(tx, "iso", "iso", "ISO"))
    made.offering = (await made.call("CreateInstanceOffering", name="small", cpuNum=1, memorySize=GIB))["uuid"]
    made.disk = (await made.call("CreateDiskOffering", name="disk", diskSize=2 * GIB))["uuid"]
    l2 = await made.call("CreateL2NoVlanNetwork", name="l2", zoneUuid=made.zone, physicalInterface="eth0")
    made.l2 = l2["uuid"]
    await made.call("AttachL2NetworkToCluster", l2NetworkUuid=made.l2, clusterUuid=made.cluster)
    made.l3 = await network(made, "l3", "10.0.0.0/16")


async def network(made: Cloud, name: str, cidr: str, l2: str | None = None) -> str:
    """An L3 network with one range, DHCP and Userdata."""
    l3 = (await made.call("CreateL3Network", name=name, l2NetworkUuid=l2 or made.l2))["uuid"]
    await made.call("AddIpRangeByNetworkCidr", name="range", l3NetworkUuid=l3, networkCidr=cidr)
    services = {made.flat: ["DHCP", "Userdata"]}
    await made.call("AttachNetworkServiceToL3Network", l3NetworkUuid=l3, networkServices=services)
    return str(l3)


def _host(tx: Any, made: Cloud, uuid: str, ip: str) -> None:
    rows.insert(
        tx,
        "HostVO",
        uuid=uuid,
        name=made.sims[uuid].name,
        zone_uuid=made.zone,
        cluster_uuid=made.cluster,
        management_ip=ip,
        hypervisor_type="KVM",
        state="Enabled",
        status="Connecting",
        agent_uuid=uuid,
    )


def image_row(tx: Any, name: str, image_format: str, media_type: str) -> str:
    row = rows.insert(
        tx,
        "ImageVO",
        uuid=uuid4().hex,
        name=name,
        state="Enabled",
        status="Ready",
        size=GIB,
        actual_size=1000,
        sha256="0" * 64,
        url="sim://images/x",
        media_type=media_type,
        type="zstack",
        platform="Linux",
        format=image_format,
    )
    return str(row["uuid"])
