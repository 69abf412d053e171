"""`terraform plan` of examples/flat-network beside a plan of the same number of `terraform_data` resources, and how long the
provider needs until Terraform can talk to it (process start to the handshake line).

    python -m benchmarks.plan

The built provider (`make provider`), a control plane with two simulated hosts, everything on this machine. A plan is timed
whole, Terraform's own start included, after one that warms the caches; medians of several.
"""

import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.priority import ahead
from provider.wire.server import COOKIE
from tools import build_provider
from tools.demo.terraform import ROOT, Stack
from tools.dev.cloud import SimulatedCloud

PLANS, STARTS = 5, 15
RESOURCES = 12  # of the example, with two hosts and two VMs
LIMIT_RATIO, LIMIT_START = 12.0, 0.100
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh bench"


def timed_plans(stack: Stack) -> float:
    stack.init()
    stack.plan()
    seconds = []
    for _ in range(PLANS):
        start = time.perf_counter()
        stack.plan()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def handshake(binary: Path) -> float:
    """Seconds until the line that begins with the protocol's numbers."""
    environment = os.environ | {COOKIE[0]: COOKIE[1], "PLUGIN_PROTOCOL_VERSIONS": "6"}
    start = time.perf_counter()
    with subprocess.Popen([binary], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.perf_counter() - start
        process.kill()
    if not line.startswith(b"1|6|"):
        raise RuntimeError(f"no handshake: {line!r}")
    return seconds


def main() -> None:
    build_provider.main()
    binary = next((ROOT / "build/mirror").rglob("terraform-provider-steppe_v*"))
    with tempfile.TemporaryDirectory() as name, SimulatedCloud(Path(name) / "cloud", 2) as cloud:
        ahead(cloud.pids)
        folder = Path(name)
        variables = {"host_ips": cloud.addresses, "image_url": "file:///none.qcow2", "ssh_public_key": KEY}
        ours = Stack(ROOT / "examples/flat-network", folder / "ours", cloud.endpoint, cloud.password, variables)
        plain = folder / "plain-source"
        plain.mkdir()
        (plain / "main.tf").write_text(
            f'resource "terraform_data" "one" {{\n  count = {RESOURCES}\n  input = count.index\n}}\n'
        )
        theirs = Stack(plain, folder / "plain", cloud.endpoint, cloud.password, {})
        mine, base = timed_plans(ours), timed_plans(theirs)
        start = statistics.median(handshake(binary) for _ in range(STARTS))
    print(f"{'plan of the example':<42} {mine:>8.3f} s")
    print(f"{f'plan of {RESOURCES} terraform_data':<42} {base:>8.3f} s")
    print(f"{'ratio':<42} {mine / base:>8.1f} x   target ≤ {LIMIT_RATIO:g} x")
    print(f"{'provider start to handshake (median)':<42} {start:>8.3f} s   target < {LIMIT_START:g} s")


if __name__ == "__main__":
    main()
