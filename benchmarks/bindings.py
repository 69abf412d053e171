"""What the Python bindings cost: importing them beside the kit alone, and the synthesis of a stack of 500 VMs.

Every figure is the best of several fresh processes. The kit starts a JavaScript process (node) at import.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.build_bindings.__main__ import build

VMS = 500
IMPORTS, SYNTHS = 7, 3
IMPORT = "import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
STACK = """
import time
from {kit} import App, TerraformStack
from {bindings} import DEFAULT_USER, CloudConfig, FlatNetwork, KvmCluster, SteppeProvider, User, VirtualMachine
from {bindings} import instance_offering

start = time.perf_counter()
app = App(outdir="out")
stack = TerraformStack(app, "fleet")
SteppeProvider(stack, "steppe")
cluster = KvmCluster(stack, "cluster", hosts=[f"10.0.0.{{n}}" for n in range(1, 21)])
flat = FlatNetwork(stack, "flat", cluster=cluster, interface="eth1", cidr="10.20.0.0/20")
image = cluster.image("debian", url="http://images/debian.qcow2")
small = instance_offering(stack, "small", cpus=1, memory="512 MiB")
for n in range({vms}):
    config = CloudConfig(users=[DEFAULT_USER, User(name=f"user{{n}}", groups=["users"])], packages=["nginx"])
    VirtualMachine(
        stack, f"vm-{{n}}", image=image, offering=small, network=flat, on=cluster.hosts[n % 20], user_data=config,
        ssh_keys=["ssh-ed25519 AAAA me"], hostname=f"vm-{{n}}",
    )
app.synth()
print(time.perf_counter() - start)
"""


def seconds(codes: list[str], packages: Path, runs: int) -> list[float]:
    """The best of each; they take turns, so that other work on the machine disturbs all of them alike."""
    found: list[list[float]] = [[] for _ in codes]
    with tempfile.TemporaryDirectory() as folder:
        for number in range(runs * len(codes)):
            code = codes[number % len(codes)]
            environment = os.environ | {"PYTHONPATH": str(packages)}
            done = subprocess.run(
                [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise SystemExit(done.stderr)
            found[number % len(codes)].append(float(re.findall(r"[\d.]+", done.stdout)[-1]))
    return [min(each) for each in found]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder, "bindings"))
        for kit in ("cdktf", "cdktn"):
            packages, bindings = Path(folder, "bindings", kit), f"steppe_{kit}"
            modules = (kit, f"{kit}, {bindings}, {bindings}.data_sources")
            alone, ours = seconds([IMPORT.format(module=one) for one in modules], packages, IMPORTS)
            print(f"import {kit} {alone:.2f} s, with {bindings} {ours:.2f} s: {ours / alone:.2f} x (wanted: 1.2 x)")
            (whole,) = seconds([STACK.format(kit=kit, bindings=bindings, vms=VMS)], packages, SYNTHS)
            print(f"{kit}: a stack of {VMS} VMs made and synthesized in {whole:.2f} s (wanted: 3 s)")


if __name__ == "__main__":
    main()
