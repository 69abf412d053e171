"""The simulated cloud of `cloud.py` as a fixture."""

import pytest

from tests.controlplane.cloud import cloud as _cloud


@pytest.fixture
async def cloud(tmp_path):
    async with _cloud(tmp_path) as made:
        yield made
