"""`python -m tools.dev --hosts 3 --port 8080`: a filled cloud of simulated hosts, in the foreground until interrupted.

Its state lies in a scratch folder that vanishes with it. The administrator's password comes from ADMIN_PASSWORD.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

from provider.client.errors import ApiFailure, Unreachable
from tools.dev.cloud import SimulatedCloud, StartError
from tools.dev.content import NETWORK, Content, populate

MOST_HOSTS = 1000


class Interrupted(BaseException):
    """Ctrl-C, or SIGTERM."""


def main() -> int:
    options = _parser().parse_args()
    password = os.environ.pop("ADMIN_PASSWORD", "") or "password"
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="steppe-dev-") as scratch,
            SimulatedCloud(Path(scratch), options.hosts, port=options.port, password=password) as cloud,
        ):
            _say(f"control plane at {cloud.endpoint}, {options.hosts} simulated hosts; filling it …")
            _say(_how_to_reach(cloud, populate(cloud)))
            while True:
                time.sleep(1)
                cloud.watch()
    except Interrupted:
        return 0
    except (StartError, ApiFailure, Unreachable) as error:
        print(f"dev: {error}", file=sys.stderr)
        return 1


def _interrupt(number: int, frame: FrameType | None) -> None:
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)  # once is enough: what is started is being ended
    raise Interrupted


def _how_to_reach(cloud: SimulatedCloud, content: Content) -> str:
    needs = f"imageUuid={content.image} instanceOfferingUuid={content.offering} l3NetworkUuids={content.network}"
    return f"""
The cloud is ready: zone and cluster `dev`, network {NETWORK}. State and logs: {cloud.folder}

  export STEPPE_SERVER={cloud.endpoint}      # for the command line
  export STEPPE_ENDPOINT={cloud.endpoint}    # for Terraform, with STEPPE_PASSWORD
  .venv/bin/steppe LogInByAccount accountName=admin    # asks for the password: ADMIN_PASSWORD, else `password`
  .venv/bin/steppe CreateVmInstance name=web {needs}

Ctrl-C ends everything."""


def _say(text: str) -> None:
    print(text, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make dev", description=__doc__)
    parser.add_argument("--hosts", type=_hosts, default=3, help="how many simulated hosts")
    parser.add_argument("--port", type=_port, default=8080, help="of the control plane on 127.0.0.1; 0: any free one")
    return parser


def _hosts(text: str) -> int:
    return _number(text, "HOSTS", 0, MOST_HOSTS)


def _port(text: str) -> int:
    return _number(text, "PORT", 0, 65535)


def _number(text: str, name: str, least: int, most: int) -> int:
    if not text.isdigit() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{name}={text!r} must be a number from {least} to {most}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
