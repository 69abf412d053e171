"""`python -m tools.demo up [--keep]` and `python -m tools.demo down`.

Exit status 0 means that everything claimed was proven. With `--keep` the cloud stays, held by a process in the background
whose end is the end of the cloud; `down` ends it and removes its files.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from tools.demo.guest import BY_NAME
from tools.demo.journey import Journey
from tools.demo.proof import NotProven
from tools.demo.terraform import TerraformFailed, program
from tools.guests import cache

START = time.monotonic()


def folder() -> Path:
    return cache.folder().parent / "demo"


def say(text: str) -> None:
    print(f"[{time.monotonic() - START:5.0f} s] {text}", flush=True)


def show(line: str) -> None:
    """A line of Terraform's, when it tells of progress."""
    if any(
        word in line for word in ("complete after", "Still ", "Plan:", "Apply complete", "Destroy complete", "Error")
    ):
        say(f"  {line}")


def up(keep: bool, guest: str, port: int) -> int:
    if os.geteuid() != 0:
        print("demo: namespaces and libvirtd need root: run it as root", file=sys.stderr)
        return 1
    if holder() is not None:
        print("demo: one is running; `make demo-down` removes it", file=sys.stderr)
        return 1
    shutil.rmtree(folder(), ignore_errors=True)
    folder().mkdir(parents=True, mode=0o700)
    journey: Journey | None = None
    try:
        program()
        journey = Journey(BY_NAME[guest], folder(), port, say, show)
        journey.apply()
        for proven in journey.prove():
            say(f"PROVEN  {proven}")
        if keep:
            hold(journey)
            return 0
        say(f"PROVEN  {journey.destroy()}")
    except (NotProven, TerraformFailed, RuntimeError, TimeoutError, LookupError, OSError) as error:
        say(f"FAILED  {error}")
        print(f"The logs are in {folder() / 'lab'}; `make demo-down` removes them.", file=sys.stderr)
        return 1
    finally:
        if journey:
            journey.close()
    shutil.rmtree(folder())
    say("done: everything was proven, and everything was removed")
    return 0


def hold(journey: Journey) -> None:
    """Print how to reach everything, and let a process in the background hold the cloud."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, _end)
        with open(os.devnull) as nothing, (folder() / "holder.log").open("a") as log:
            os.dup2(nothing.fileno(), 0)
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                signal.pause()
        journey.close()
        os._exit(0)
    (folder() / "holder.json").write_text(json.dumps({"pid": child, "started": _started(child)}))
    journey.disown()
    lab, cloud = journey.lab, journey.cloud
    enter = f"nsenter -t {lab.underlay.pid} -a"
    ssh = f"{enter} ssh -i {journey.key} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    lines = [
        "The demo is left running.",
        f"  API          {cloud.endpoint}   account admin, password in {lab.root / 'admin-password'}",
        f"  terraform    cd {journey.stack.folder}; export TF_CLI_CONFIG_FILE={Path('build/terraformrc').absolute()}",
        f"               STEPPE_ENDPOINT={cloud.endpoint} STEPPE_PASSWORD=$(cat {lab.root / 'admin-password'})",
        *(f"  {vm.name:<12} {ssh} foobar@{vm.ip}" for vm in journey.vms),
        *(f"  {name:<12} nsenter -t {host.inside.pid} -a" for name, host in lab.hosts.items()),
        f"  logs         {lab.root}",
        "  remove it    make demo-down",
    ]
    print("\n".join(lines), flush=True)


def _end(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def holder() -> int | None:
    """The process that holds a demo, if it still is the one that was started."""
    try:
        known = json.loads((folder() / "holder.json").read_text())
        return int(known["pid"]) if _started(known["pid"]) == known["started"] else None
    except (OSError, ValueError, KeyError):
        return None


def _started(pid: int) -> str:
    """When a process started, in clock ticks since boot: tells it from a later one with the same id."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def down() -> int:
    pid = holder()
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 30
        while holder() is not None and time.monotonic() < deadline:
            time.sleep(0.1)
        if holder() is not None:
            os.kill(pid, signal.SIGKILL)  # its lifelines end with it
    if not folder().exists():
        print("demo: there is none")
        return 0
    shutil.rmtree(folder())
    print("demo: removed")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.demo", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("up")
    command.add_argument("--keep", action="store_true", help="leave it running")
    command.add_argument("--guest", choices=sorted(BY_NAME), default="debian")
    command.add_argument("--port", type=int, default=8080, help="of the control plane on 127.0.0.1")
    commands.add_parser("down")
    options = parser.parse_args()
    return up(options.keep, options.guest, options.port) if options.command == "up" else down()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    sys.exit(main())
