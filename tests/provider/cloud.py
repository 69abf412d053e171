"""The cloud of simulated hosts that the provider's tests share, and what they ask it."""

import subprocess
from pathlib import Path
from typing import Any

from tools.dev.cloud import SimulatedCloud


class Cloud(SimulatedCloud):
    """`hosts` agents have enrolled at `addresses`; nothing else exists but a guest image's file. Start with `with`."""

    def __init__(self, folder: Path, hosts: int = 2) -> None:
        super().__init__(folder, hosts, base_ip="127.0.71.1")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", self.images / "guest.qcow2", "64M"], check=True)

    @property
    def environment(self) -> dict[str, str]:
        return {"STEPPE_ENDPOINT": self.endpoint, "STEPPE_PASSWORD": self.password}

    def only(self, collection: str, **equal: str) -> dict[str, Any]:
        (one,) = self.client.query(collection, **equal)
        return one
