"""A simulated host behind the agent's real HTTP application, joined in-process."""

from collections.abc import AsyncIterator

import httpx
import pytest

from hostagent import sim
from hostagent.api.app import create_app
from hostagent.ensure.agent import Agent
from hostagent.sim import SimHost


@pytest.fixture
def simulated() -> tuple[Agent, SimHost]:
    return sim.agent("host1")


@pytest.fixture
def host(simulated: tuple[Agent, SimHost]) -> SimHost:
    return simulated[1]


@pytest.fixture
async def api(simulated: tuple[Agent, SimHost]) -> AsyncIterator[httpx.AsyncClient]:
    agent, _ = simulated
    app = create_app(agent)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://host1") as client,
    ):
        yield client
