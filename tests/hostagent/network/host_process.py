"""Runs as pid 1 of a test host (own pid, mount and network namespaces): the real HostNetwork, driven by JSON lines."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

from hostagent.contract import HostError, SnapshotSpec
from hostagent.ensure.network import HostNetwork


async def answer(network: HostNetwork, line: str) -> dict[str, object]:
    command, _, argument = line.partition(" ")
    try:
        if command == "apply":
            return (await network.apply(SnapshotSpec.model_validate_json(argument))).model_dump()
        if command == "status":
            return (await network.status()).model_dump()
        if command == "interfaces":
            return {"names": [each.name for each in await network.interfaces()]}
        if command == "vlan":
            return {"supported": await network.vlan_supported()}
    except HostError as error:
        return {"problem": error.problem.model_dump(mode="json")}
    raise ValueError(command)


async def main(directory: Path) -> None:
    for arguments in (
        ["mount", "--make-rprivate", "/"],
        ["mount", "-t", "sysfs", "sysfs", "/sys"],
        ["mount", "-t", "tmpfs", "tmpfs", "/run"],
        ["ip", "link", "set", "lo", "up"],
    ):
        subprocess.run(arguments, check=True)
    network = HostNetwork(directory)
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        if line.strip() == "restart":  # a new agent process would know nothing either
            network = HostNetwork(directory)
            print("{}", flush=True)
            continue
        print(json.dumps(await answer(network, line.strip())), flush=True)
        while True:  # pid 1 reaps orphans
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    break
            except ChildProcessError:
                break


asyncio.run(main(Path(sys.argv[1])))
