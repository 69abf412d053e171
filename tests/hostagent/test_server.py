"""Enrolment and mutual TLS: the agent's own code against the control plane's own certificate authorities."""

import asyncio
import ssl
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from controlplane.agents.authority import Authority
from controlplane.agents.client import Address, HostClients
from controlplane.agents.connection import over_tls
from controlplane.contract.error import ApiError, Temporary
from hostagent import sim
from hostagent.api.app import create_app
from hostagent.api.server import AgentServer
from hostagent.contract.vm import VmState
from hostagent.enroll import EnrolmentError, Identity, enroll
from hostagent.ports.hypervisor import Domain
from hostagent.sim.hypervisor import SimDomain
from tests.hostagent.enrolment import AGENT, serving
from tools.free_port import free_port


async def enrolled(server: str, authority: Authority, directory: Path, token: str = "right") -> Identity:
    return await asyncio.to_thread(
        enroll,
        server=server,
        ca_file=authority.ca_file,
        token=token,
        management_ip="127.0.0.1",
        port=free_port(),
        directory=directory,
    )


@pytest.fixture
async def agent(server: str, authority: Authority, tmp_path: Path) -> AsyncIterator[Identity]:
    identity = await enrolled(server, authority, tmp_path / "agent")
    simulated, _ = sim.agent("host1", uuid=identity.host_agent_uuid)
    agent_server = AgentServer(
        create_app(simulated),
        identity.management_ip,
        identity.port,
        key=identity.key_file,
        certificate=identity.certificate_file,
        control_ca=identity.control_ca_file,
    )
    async with serving(agent_server):
        yield identity


async def facts(identity: Identity, context: ssl.SSLContext) -> httpx.Response:
    async with httpx.AsyncClient(verify=context, trust_env=False) as client:
        return await client.get(f"https://127.0.0.1:{identity.port}/v1/host")


async def test_the_control_plane_is_let_in(agent: Identity, authority: Authority) -> None:
    answer = await facts(agent, authority.client_context())
    assert answer.json()["host_uuid"] == AGENT


async def test_nobody_else_is(agent: Identity, authority: Authority) -> None:
    without = ssl.create_default_context(cadata=authority.agent_ca)
    other_agent = ssl.create_default_context(cadata=authority.agent_ca)
    other_agent.load_cert_chain(agent.certificate_file, agent.key_file)
    public_server = ssl.create_default_context(cadata=authority.agent_ca)
    public_server.load_cert_chain(*authority.server_files)  # the control CA's, but not a client's certificate
    for context in (without, other_agent, public_server):
        with pytest.raises(httpx.TransportError):
            await facts(agent, context)
    with pytest.raises(httpx.TransportError):
        async with httpx.AsyncClient(trust_env=False) as client:
            await client.get(f"http://127.0.0.1:{agent.port}/v1/host")


async def test_identity_is_private_and_survives(agent: Identity) -> None:
    assert Identity.load(agent.directory) == agent
    for path in agent.directory.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(agent.directory.stat().st_mode) == 0o700


async def test_a_failed_enrolment_says_why_and_keeps_nothing(server: str, authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(EnrolmentError, match="HTTP 401") as refused:
        await enrolled(server, authority, tmp_path / "a", token="wrong-and-secret")
    assert "wrong-and-secret" not in str(refused.value)
    with pytest.raises(EnrolmentError, match="cannot reach"):
        await enrolled(f"https://127.0.0.1:{free_port()}", authority, tmp_path / "a")
    with pytest.raises(EnrolmentError, match="https://"):
        await enrolled(server.replace("https", "http"), authority, tmp_path / "a")
    other = Authority(tmp_path / "other", ["127.0.0.1"])
    with pytest.raises(EnrolmentError, match="certificate"):
        await enrolled(server, other, tmp_path / "a")
    assert Identity.load(tmp_path / "a") is None


async def test_a_console_crosses_mutual_tls(server: str, authority: Authority, tmp_path: Path) -> None:
    """The control plane's client, over the WebSocket that only it may open."""
    identity = await enrolled(server, authority, tmp_path / "agent")
    simulated, host = sim.agent("host1", uuid=identity.host_agent_uuid)
    files = {"key": identity.key_file, "certificate": identity.certificate_file, "control_ca": identity.control_ca_file}
    async with serving(AgentServer(create_app(simulated), identity.management_ip, identity.port, **files)):

        async def address(_uuid: str) -> Address:
            return Address("127.0.0.1", identity.port)

        domain = Domain("a" * 32, "vm", 1, "", 1, 1 << 20, (), (None,), (), ("HardDisk",), "none", "vnc")
        host.hypervisor.domains[domain.uuid] = SimDomain(domain, VmState.running, domain)
        clients = HostClients(over_tls(authority.client_context), address, tls=authority.client_context)
        async with clients.get("h").console(domain.uuid, "vnc") as line:
            assert await line.receive() == b"RFB 003.008\n"
            await line.send(b"x")
            assert await line.receive() == b"x"
        with pytest.raises(ApiError, match="not defined"):
            async with clients.get("h").console("b" * 32, "vnc"):
                pass
        without = HostClients(over_tls(authority.client_context), address, tls=ssl.create_default_context)
        with pytest.raises(Temporary):
            async with without.get("h").console(domain.uuid, "vnc"):
                pass
        await clients.close()
