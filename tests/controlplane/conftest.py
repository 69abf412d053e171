"""The simulated cloud of `cloud.py` as a fixture."""

import pytest

from tests.controlplane.cloud import cloud as _cloud
from tests.controlplane.moving import allow_live


@pytest.fixture
async def cloud(tmp_path):
    async with _cloud(tmp_path) as made:
        yield made


@pytest.fixture
async def live(cloud):
    """In which VMs may move while they run."""
    await allow_live(cloud)
    return cloud
