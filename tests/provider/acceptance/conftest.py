"""A cloud of its own for the generated suite: more hosts than the other tests need, and a second guest image."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.provider.acceptance.land import HOSTS
from tests.provider.cloud import Cloud


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with Cloud(tmp_path_factory.mktemp("acceptance"), HOSTS) as running:
        for name in ("other.qcow2", "guest.raw"):
            file = running.images / name
            subprocess.run(["qemu-img", "create", "-q", "-f", file.suffix[1:], file, "96M"], check=True)
        limit = "/global-configurations/identity/session.maxConcurrent"
        running.client.action(limit, "updateGlobalConfig", {"value": "100000"}, timeout=10)
        yield running
