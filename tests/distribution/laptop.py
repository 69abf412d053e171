"""Somebody with Terraform and a control plane's address: what they write and run."""

import subprocess

from tests.provider.cloud import Cloud
from tools.build_provider import project_version

VERSION = project_version()


def stack(source: str) -> str:
    return f'''
terraform {{
  required_providers {{
    steppe = {{ source = "{source}" }}
  }}
}}
resource "steppe_zone" "a" {{
  name = "from a laptop"
}}
'''


def tls(cloud: Cloud) -> str:
    return f"https://127.0.0.1:{cloud.tls_port}"


def terraform(laptop: dict[str, str], *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["terraform", f"-chdir={laptop['HOME']}/stack", *words], env=laptop, capture_output=True, text=True, check=False
    )


def works(laptop: dict[str, str], cloud: Cloud) -> None:
    """The provider that was installed makes a zone and removes it."""
    for words in (("apply", "-auto-approve"), ("plan", "-detailed-exitcode")):
        done = terraform(laptop, *words, "-no-color", "-input=false")
        assert done.returncode == 0, done.stdout + done.stderr
    assert [one["name"] for one in cloud.client.query("zones")] == ["from a laptop"]
    assert terraform(laptop, "destroy", "-auto-approve").returncode == 0
    assert cloud.client.query("zones") == []
