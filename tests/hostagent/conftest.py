"""A simulated host behind the agent's real HTTP application, joined in-process; and a place to enrol."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from controlplane.agents.authority import Authority
from hostagent import sim
from hostagent.api.app import create_app
from hostagent.contract import StorageSpec
from hostagent.drivers import peer_pull
from hostagent.ensure.agent import Agent
from hostagent.sim import SimHost
from tests.hostagent.enrolment import enrolment_server
from tests.hostagent.real_agent import agent, machine
from tests.hostagent.transfer_pair import STORAGE, Pair


@pytest.fixture
def simulated() -> tuple[Agent, SimHost]:
    return sim.agent("host1")


@pytest.fixture
def host(simulated: tuple[Agent, SimHost]) -> SimHost:
    return simulated[1]


@pytest.fixture
async def api(simulated: tuple[Agent, SimHost]) -> AsyncIterator[httpx.AsyncClient]:
    simulated_agent, _ = simulated
    app = create_app(simulated_agent)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://host1") as client,
    ):
        yield client


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority", ["127.0.0.1"])


@pytest.fixture
async def server(authority: Authority) -> AsyncIterator[str]:
    """Address of a server that enrols agents."""
    async with enrolment_server(authority) as address:
        yield address


__all__ = ["agent", "machine"]


@pytest.fixture
async def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pair]:
    monkeypatch.setattr(peer_pull, "PAUSE", 0.05)
    pair = Pair(tmp_path)
    for side in (pair.source, pair.destination):
        await side.storages.put(STORAGE, StorageSpec(generation=1, path=str(side.root)))
    yield pair
    await pair.destination.end()
    await pair.source.end()
