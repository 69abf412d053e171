"""The cloud of simulated hosts that the provider's tests share, and what they ask it."""

import contextlib
import json
import signal
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.dev.cloud import SimulatedCloud


class Cloud(SimulatedCloud):
    """`hosts` agents have enrolled at `addresses`; nothing else exists but a guest image's file. Start with `with`."""

    def __init__(self, folder: Path, hosts: int = 2) -> None:
        super().__init__(folder, hosts, base_ip="127.0.71.1")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", self.images / "guest.qcow2", "64M"], check=True)
        (self.images / "guest.iso").write_bytes(bytes(32768) + b"\x01CD001\x01" + bytes(32768))

    @contextlib.contextmanager
    def frozen_hosts(self) -> Iterator[None]:
        """The agents hang, as on an overloaded host: what is asked of them waits."""
        agents = self._processes[-1]
        agents.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            agents.send_signal(signal.SIGCONT)

    def kill_control_plane(self) -> None:
        old = self._processes.pop(0)
        old.kill()
        old.wait()

    def revive_control_plane(self) -> None:
        self.start_control_plane()
        self._processes.insert(0, self._processes.pop())

    def on_hosts(self, path: str) -> list[Any]:
        """What the agents themselves say, all hosts together."""
        pki = self.state / "pki"
        context = ssl.create_default_context(cafile=pki / "agent-ca.pem")
        context.load_cert_chain(pki / "client.pem", pki / "client.key")
        found: list[Any] = []
        for address in self.addresses:
            with urllib.request.urlopen(f"https://{address}:{self.agent_port}{path}", context=context) as answer:
                found += json.load(answer)
        return found

    @property
    def environment(self) -> dict[str, str]:
        return {"STEPPE_ENDPOINT": self.endpoint, "STEPPE_PASSWORD": self.password}

    def only(self, collection: str, **equal: str) -> dict[str, Any]:
        (one,) = self.client.query(collection, **equal)
        return one
