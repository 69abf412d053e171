"""A control plane with the packed provider, and a laptop that has nothing yet."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.distribution.laptop import stack, tls
from tests.provider.cloud import Cloud
from tools.build_provider import SOURCE
from tools.pack_provider import pack


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A control plane with the packed provider."""
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not installed")
    with Cloud(tmp_path_factory.mktemp("cloud"), hosts=0) as running:
        pack(running.providers)
        yield running


@pytest.fixture
def laptop(cloud: Cloud, tmp_path: Path) -> dict[str, str]:
    """The environment of somebody who has nothing but Terraform, Python, and the control plane's CA."""
    (tmp_path / "stack").mkdir()
    (tmp_path / "stack" / "main.tf").write_text(stack(SOURCE))
    ca_file = str(cloud.state / "pki" / "ca.pem")
    path = f"{Path(sys.executable).resolve().parent}:{os.environ['PATH']}"
    login = {"STEPPE_ENDPOINT": tls(cloud), "STEPPE_PASSWORD": cloud.password, "STEPPE_CA_FILE": ca_file}
    return {"HOME": str(tmp_path), "PATH": path, "CHECKPOINT_DISABLE": "1", "SSL_CERT_FILE": ca_file} | login
