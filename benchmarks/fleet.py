"""Terraform with many VMs: planning them, refreshing them, and creating them, each beside what is the least it can take.

    python -m benchmarks.fleet [--planned 500] [--refreshed 1000] [--created 100]

The built provider, one control plane and simulated hosts, everything on this machine. The floor of a plan and of a refresh is
the same command with as many `terraform_data` resources, which no provider process answers for; that of a creation is the
same number of VMs asked for by direct HTTP, as many at once. How many requests a refresh sends, and how much CPU it takes, is
what the provider says itself; the other CPU of the command is Terraform's own. Medians of several, both sides in turn, after one that warms the caches.
"""

import argparse
import asyncio
import os
import re
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp

from benchmarks.create_vm import Cloud as DirectCloud
from benchmarks.create_vm import run as create_directly
from benchmarks.priority import ahead
from tools import build_provider
from tools.demo.terraform import ROOT, program
from tools.dev.cloud import SimulatedCloud
from tools.dev.content import Content, populate

HOSTS, ROUNDS, AT_ONCE = 20, 5, 10  # AT_ONCE: Terraform's own parallelism
LIMITS = {"plan": 1.5, "refresh": 2.0, "apply": 1.3}
VMS_PER_REQUEST = 50
FLOOR = 'resource "terraform_data" "a" {\n  count = %d\n  input = "vm-${count.index}"\n}\n'
OURS = """\
terraform {
  required_providers {
    steppe = { source = "terraform.local/steppe/steppe" }
  }
}
resource "steppe_vm" "a" {
  count                  = %d
  name                   = "vm-${count.index}"
  image_uuid             = "%s"
  instance_offering_uuid = "%s"
  network_uuids          = ["%s"]
}
"""


class Folder:
    """A working directory of Terraform."""

    def __init__(self, folder: Path, text: str, cloud: SimulatedCloud) -> None:
        folder.mkdir()
        (folder / "main.tf").write_text(text)
        self.folder = folder
        self.environment = os.environ | {
            "TF_CLI_CONFIG_FILE": str(ROOT / "build/terraformrc"), "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1",
            "STEPPE_ENDPOINT": cloud.endpoint, "STEPPE_PASSWORD": cloud.password,
        }  # fmt: skip
        self.run("init")

    def run(self, command: str, *words: str, **more: str) -> str:
        """What it wrote to its log."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        yes = ("-auto-approve",) if command in ("apply", "destroy") else ()
        done = subprocess.run(
            [program(), command, "-no-color", "-input=false", *yes, *words],
            cwd=self.folder, env=self.environment | more, capture_output=True, text=True, check=False,
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if done.returncode:
            raise RuntimeError(f"terraform {command}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stderr


def in_turn(*sides: Callable[[], object]) -> list[float]:
    """Median seconds of each."""
    taken: list[list[float]] = [[] for _ in sides]
    for number in range(ROUNDS + 1):
        for seconds, side in zip(taken, sides, strict=True):
            start = time.perf_counter()
            side()
            if number:
                seconds.append(time.perf_counter() - start)
    return [statistics.median(seconds) for seconds in taken]


def tell(what: str, ours: float, floor: float, limit: float) -> None:
    print(
        f"{what:<34} {ours:>7.3f} s  floor {floor:>7.3f} s  ratio {ours / floor:>5.2f} x  target ≤ {limit:g} x",
        flush=True,
    )


def account(command: str, folder: Folder, floor: Folder | None = None) -> int:
    """Tells whose CPU one more run takes, Terraform's and its plug-in's; returns the requests to the control plane."""
    log = folder.run(command, TF_LOG_PROVIDER="DEBUG")
    told = re.findall(r"(\d+) requests to the control plane, ([0-9.]+) s of CPU", log)
    ours = sum(float(seconds) for _, seconds in told)
    line = f"{'its CPU':<34} Terraform {folder.cpu - ours:.2f} s, provider {ours:.2f} s"
    if floor:
        floor.run(command)
        line += f"; of the floor: Terraform {floor.cpu:.2f} s"
    print(line, flush=True)
    return sum(int(count) for count, _ in told)


async def directly(cloud: SimulatedCloud, count: int) -> float:
    """Seconds until they run; they are gone again afterwards."""
    async with aiohttp.ClientSession(cloud.endpoint, timeout=aiohttp.ClientTimeout(300)) as http:
        direct = DirectCloud(http)
        await direct.log_in(cloud.password)
        seconds, uuids = await create_directly(direct, count, AT_ONCE)
        for start in range(0, len(uuids), 100):
            await asyncio.gather(*(direct.destroy(uuid) for uuid in uuids[start : start + 100]))
        return seconds


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@contextmanager
def filled() -> Iterator[tuple[Path, SimulatedCloud, Content]]:
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as name,
        SimulatedCloud(Path(name) / "cloud", HOSTS, base_ip="127.0.74.1") as cloud,
    ):
        content = populate(cloud)
        ahead(cloud.pids)
        asyncio.run(directly(cloud, 3 * HOSTS))  # images are everywhere
        yield Path(name), cloud, content


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--planned", type=int, default=500)
    parser.add_argument("--refreshed", type=int, default=1000)
    parser.add_argument("--created", type=int, default=100)
    options = parser.parse_args()
    build_provider.main()
    with filled() as (scratch, cloud, content):
        uuids = (content.image, content.offering, content.network)
        planned, refreshed, created = options.planned, options.refreshed, options.created
        if planned:
            ours = Folder(scratch / "p", OURS % (planned, *uuids), cloud)
            floor = Folder(scratch / "pf", FLOOR % planned, cloud)
            tell(
                f"plan of {planned} new VMs",
                *in_turn(lambda: ours.run("plan"), lambda: floor.run("plan")),
                LIMITS["plan"],
            )
            account("plan", ours, floor)
        if created:
            ours = Folder(scratch / "c", OURS % (created, *uuids), cloud)
            ways: list[list[float]] = [[], []]
            for _ in range(ROUNDS):
                ways[0].append(timed(lambda: ours.run("apply", f"-parallelism={AT_ONCE}")))
                ours.run("destroy")
                ways[1].append(asyncio.run(directly(cloud, created)))
            tell(f"creation of {created} VMs", *map(statistics.median, ways), LIMITS["apply"])
            sent = account("apply", ours)
            print(f"{'its requests':<34} {sent}: {sent / created:.1f} for a VM", flush=True)
            ours.run("destroy")
        if refreshed:
            ours = Folder(scratch / "r", OURS % (refreshed, *uuids), cloud)
            floor = Folder(scratch / "rf", FLOOR % refreshed, cloud)
            ours.run("apply", "-parallelism=100")
            floor.run("apply")
            seconds = in_turn(lambda: ours.run("plan"), lambda: floor.run("plan"))
            tell(f"refresh and plan of {refreshed} VMs", *seconds, LIMITS["refresh"])
            sent = account("plan", ours, floor)
            print(
                f"{'its requests':<34} {sent}: one for {refreshed / max(sent, 1):.0f} VMs  target ≥ {VMS_PER_REQUEST}"
            )


if __name__ == "__main__":
    main()
