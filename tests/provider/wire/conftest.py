"""The provider behind a socket, for a client of the protocol."""

from collections.abc import Iterator

import grpc
import pytest

from provider.main import Steppe
from provider.wire.server import Served
from tests.provider.wire.core import Core, given


@pytest.fixture
def served(cloud, monkeypatch, tmp_path) -> Iterator[Served]:
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    running = Served(Steppe(), f"unix:{tmp_path}/s")
    yield running
    running.close()


@pytest.fixture
def ask(served, tmp_path) -> Iterator[Core]:
    """The provider, configured for that control plane."""
    with grpc.insecure_channel(f"unix:{tmp_path}/s") as channel:
        core = Core(channel)
        assert not core("ConfigureProvider", config=given(Steppe.schema.type)).diagnostics
        yield core
