"""Console access: tokens, sessions, and the proxy between a real WebSocket client and a (simulated) host's agent."""

import asyncio
from contextlib import asynccontextmanager

import httpx
import pytest
import uvicorn
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from controlplane.agents.client import Address
from controlplane.api import console
from controlplane.api.app import create_app
from controlplane.contract.error import ApiError
from controlplane.store import rows
from controlplane.store.tables import now
from hostagent.api.app import create_app as create_agent_app


@asynccontextmanager
async def listening(app):
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        log_level="warning",
        lifespan="off",
        ws="websockets-sansio",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving


@pytest.fixture
async def proxied(cloud):
    """A running VM, its console's address, and its host's agent on a port of its own."""
    vm = await cloud.vm()
    host = cloud.world.hosts.get(vm["hostUuid"])
    agent = cloud.sims[vm["hostUuid"]].boot_agent(vm["hostUuid"])
    app = create_app(cloud.world, cloud.engine, [console.router(cloud.world)])
    async with listening(create_agent_app(agent)) as agent_port, listening(app) as port:
        router = host._connection._http._transport
        router._apps["127.0.0.1"] = router._apps[vm_host_ip(cloud, vm)]
        host._address = Address("127.0.0.1", agent_port)
        yield vm, f"127.0.0.1:{port}"


def vm_host_ip(cloud, vm):
    return f"10.9.0.{list(cloud.sims).index(vm['hostUuid']) + 1}"


async def token(cloud, vm, **parameters):
    return (await cloud.call("RequestConsoleAccess", vmInstanceUuid=vm["uuid"], **parameters))["token"]


async def refused(url, **options):
    with pytest.raises(InvalidStatus) as caught:
        async with connect(url, **options):
            pass
    return caught.value.response.status_code


async def ends(line):
    with pytest.raises(ConnectionClosed) as caught:
        async with asyncio.timeout(10):
            while True:
                await line.recv()
    return caught.value.rcvd.reason if caught.value.rcvd else ""


async def test_what_is_granted(cloud, proxied):
    vm, _ = proxied
    access = await cloud.call("RequestConsoleAccess", vmInstanceUuid=vm["uuid"])
    assert access["protocol"] == "vnc"
    assert access["url"] == f"{cloud.world.settings.public_url}/console?token={access['token']}"
    stored = await cloud.find("ConsoleAccessVO")
    assert access["token"] not in str(stored)
    assert access["token"] not in str(await cloud.find("OperationVO"))


async def test_a_token_opens_one_connection(cloud, proxied):
    vm, at = proxied
    url = f"ws://{at}/console/stream?token={await token(cloud, vm)}"
    async with connect(url, subprotocols=["binary"]) as line:
        assert line.subprotocol == "binary"
        assert await line.recv() == b"RFB 003.008\n"
        await line.send(b"\0key")
        assert await line.recv() == b"\0key"
        assert await refused(url) == 403
    assert await refused(f"ws://{at}/console/stream") == 403
    assert await refused(f"ws://{at}/console/stream?token={'0' * 32}") == 403


async def test_a_token_expires(cloud, proxied):
    vm, at = proxied
    late = await token(cloud, vm)
    await cloud.world.db.write(
        lambda tx: rows.update_where(tx, "ConsoleAccessVO", {"role": "token"}, expired_date=now())
    )
    assert await refused(f"ws://{at}/console/stream?token={late}") == 403
    await token(cloud, vm)
    assert len(await cloud.find("ConsoleAccessVO")) == 1  # what has expired is not kept


async def test_a_page_is_opened_once_and_reloads_and_reconnects(cloud, proxied):
    vm, at = proxied
    async with httpx.AsyncClient(base_url=f"http://{at}", follow_redirects=True) as http:
        link = f"/console?token={await token(cloud, vm)}"
        page = await http.get(link)
        assert (page.status_code, page.url.path) == (200, f"/console/{vm['uuid']}/")
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert "token" not in str(page.url)
        assert (await http.get(link)).status_code == 403
        assert (await http.get(page.url)).status_code == 200
        info = (await http.get(f"/console/{vm['uuid']}/info")).json()
        assert info == {"name": "vm", "protocol": "vnc"}
        [cookie] = http.cookies.jar
        assert (cookie.path, cookie.has_nonstandard_attr("HttpOnly")) == (f"/console/{vm['uuid']}/", True)
        stream, headers = f"ws://{at}/console/{vm['uuid']}/stream", {"Cookie": f"{cookie.name}={cookie.value}"}
        for _ in range(2):
            async with connect(stream, additional_headers=headers, origin=f"http://{at}") as line:
                assert await line.recv() == b"RFB 003.008\n"
        assert await refused(stream, additional_headers=headers, origin="http://elsewhere") == 403
        assert await refused(stream) == 403
        other = (await cloud.find("VmInstanceVO"))[0]["uuid"][::-1]
        assert await refused(f"ws://{at}/console/{other}/stream", additional_headers=headers) == 403
        await cloud.call("StopVmInstance", uuid=vm["uuid"])
        assert (await http.get(page.url)).status_code == 403
    assert await cloud.find("ConsoleAccessVO") == []


async def test_the_proxy_ends_when_the_vm_stops(cloud, proxied):
    vm, at = proxied
    async with connect(f"ws://{at}/console/stream?token={await token(cloud, vm)}") as line:
        await line.recv()
        await cloud.call("StopVmInstance", uuid=vm["uuid"])
        await ends(line)


async def test_the_proxy_ends_when_nothing_moves(cloud, proxied):
    vm, at = proxied
    await cloud.call("UpdateGlobalConfig", category="console", name="proxy.idleTimeout", value="5")
    async with connect(f"ws://{at}/console/stream?token={await token(cloud, vm)}") as line:
        assert await ends(line) == "nothing moved for 5 seconds"


async def test_serial_and_what_the_host_refuses(cloud, proxied):
    vm, at = proxied
    async with connect(f"ws://{at}/console/stream?token={await token(cloud, vm, protocol='serial')}") as line:
        await line.send("text")
        assert await line.recv() == b"text"
    spare = await token(cloud, vm, protocol="serial")
    cloud.sims[vm["hostUuid"]].hypervisor.domains[vm["uuid"]].running = None
    assert await refused(f"ws://{at}/console/stream?token={spare}") == 503


@pytest.mark.parametrize("api", ["RequestConsoleAccess", "GetVmScreenshot", "GetVmConsoleAddress"])
async def test_only_of_a_running_vm(cloud, api):
    vm = await cloud.vm(strategy="CreateStopped")
    name = "vmInstanceUuid" if api == "RequestConsoleAccess" else "uuid"
    with pytest.raises(ApiError) as error:
        await cloud.call(api, **{name: vm["uuid"]})
    assert (error.value.error.code, error.value.error.cause.code) == ("SYS.1006", "VM.1010")


async def test_a_screenshot(cloud):
    vm = await cloud.vm()
    shot = await cloud.call("GetVmScreenshot", uuid=vm["uuid"])
    assert shot["contentType"] == "image/png"
    assert shot["image"].startswith("iVBORw0KGgp")


async def test_the_address_is_that_of_what_runs_and_ports_listen_where_told(cloud):
    vm = await cloud.vm()
    await cloud.call("UpdateGlobalConfig", category="kvm", name="vm.consoleMode", value="spice")
    await cloud.call("UpdateGlobalConfig", category="kvm", name="vm.consoleListen", value="management")
    address = await cloud.call("GetVmConsoleAddress", uuid=vm["uuid"])
    ip = vm_host_ip(cloud, vm)
    assert address == {"hostIp": ip, "port": 5900, "protocol": "vnc"}
    domain = cloud.sims[vm["hostUuid"]].hypervisor.domains[vm["uuid"]]
    assert domain.running.console_listen == "127.0.0.1"
    await cloud.call("RebootVmInstance", uuid=vm["uuid"])
    assert await cloud.call("GetVmConsoleAddress", uuid=vm["uuid"]) == {"hostIp": ip, "port": 5901, "protocol": "spice"}
    assert domain.running.console_listen == ip


async def test_the_mode_and_model_that_run_are_shown(cloud):
    vm = await cloud.vm(systemTags=["cpuMode::host-passthrough"])
    assert (vm["cpuMode"], vm["cpuModel"]) == ("maximum", "qemu64")
    [tag] = await cloud.find("SystemTagVO", resource_uuid=vm["uuid"])
    await cloud.call("DeleteTag", uuid=tag["uuid"])
    await cloud.call("RebootVmInstance", uuid=vm["uuid"])
    [shown] = await cloud.call("QueryVmInstance")
    assert (shown["cpuMode"], shown["cpuModel"]) == ("none", "qemu64")


async def test_files_are_served_from_their_directories_only(proxied):
    _, at = proxied
    async with httpx.AsyncClient(base_url=f"http://{at}") as http:
        script = await http.get("/console/files/page/page.js")
        assert (script.status_code, script.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
        assert (await http.get("/console/files/novnc/core/rfb.js")).status_code == 200
        assert (await http.get("/console/files/spice-html5/main.js")).status_code == 200
        for path in (
            "page/../console.py",
            "page/%2e%2e/console.py",
            "page/%2fetc/passwd",
            "etc/passwd",
            "page/",
            "page/%00",
        ):
            assert (await http.get(f"/console/files/{path}")).status_code != 200, path
