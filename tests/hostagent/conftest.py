"""A simulated host behind the agent's real HTTP application, joined in-process; and a place to enrol."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from controlplane.agents.authority import Authority
from hostagent import sim
from hostagent.api.app import create_app
from hostagent.ensure.agent import Agent
from hostagent.sim import SimHost
from tests.hostagent.enrolment import enrolment_server
from tests.hostagent.real_agent import agent, machine


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
