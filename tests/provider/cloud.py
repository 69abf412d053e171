"""A real control plane and real host agents over simulated drivers, as processes of their own."""

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from provider.client.control_plane import ControlPlane
from provider.client.transport import Transport

ROOT = Path(__file__).resolve().parents[2]
BASE_IP = "127.0.71.1"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Cloud:
    """`hosts` agents have enrolled at `addresses`; nothing else exists. Start with `with`."""

    def __init__(self, folder: Path, hosts: int = 2) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.images = folder / "images"
        self.images.mkdir(parents=True)
        self.addresses = [f"127.0.71.{number}" for number in range(1, hosts + 1)]
        self.port, self.tls_port, self.agent_port = _free_port(), _free_port(), _free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Cloud":
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            process.terminate()
        for process in reversed(self._processes):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self) -> None:
        self.start_control_plane()
        self.password = (self.state / "admin-password").read_text().strip()
        self.client = self.connect()
        self.client.log_in()
        tokens = []
        for _ in self.addresses:
            answer = self.client._authorised("POST", "/hosts/enrollment-tokens", {"params": {}}, repeatable=False)
            tokens.append(answer.body["inventory"]["token"])
        (self.folder / "tokens").write_text("\n".join(tokens))
        self._run(
            "hostagent.main", "--sim", "--count", str(len(tokens)), "--base-ip", BASE_IP, "--port", str(self.agent_port),
            "--state-dir", str(self.folder / "agents"), "--server", f"https://127.0.0.1:{self.tls_port}",
            "--ca-file", str(self.state / "pki" / "ca.pem"), "--token-file", str(self.folder / "tokens"),
        )  # fmt: skip
        for address in self.addresses:
            self._await(lambda address=address: socket.create_connection((address, self.agent_port), 1).close())
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

    def start_control_plane(self) -> "subprocess.Popen[bytes]":
        process = self._run(
            "controlplane.main", "--state-dir", str(self.state), "--listen", f"127.0.0.1:{self.port}",
            "--tls-listen", f"127.0.0.1:{self.tls_port}", "--allow-file-images", str(self.images),
        )  # fmt: skip
        self._await(lambda: urllib.request.urlopen(f"{self.endpoint}/healthz", timeout=1).read())
        return process

    def connect(self) -> ControlPlane:
        return ControlPlane(Transport(self.endpoint, None), "admin", self.password, threading.Event())

    @property
    def environment(self) -> dict[str, str]:
        return {"STEPPE_ENDPOINT": self.endpoint, "STEPPE_PASSWORD": self.password}

    def only(self, collection: str, **equal: str) -> dict[str, Any]:
        (one,) = self.client.query(collection, **equal)
        return one

    def _run(self, module: str, *arguments: str) -> "subprocess.Popen[bytes]":
        log = (self.folder / f"{module}.log").open("ab")
        with log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments], cwd=ROOT, stdout=log, stderr=log, env=dict(os.environ)
            )
        self._processes.append(process)
        return process

    def _await(self, probe: Any, limit: float = 30.0) -> None:
        deadline = time.monotonic() + limit
        while True:
            try:
                probe()
                return
            except OSError:
                dead = [one for one in self._processes if one.poll() is not None]
                if dead or time.monotonic() > deadline:
                    logs = {path.name: path.read_text()[-3000:] for path in self.folder.glob("*.log")}
                    raise RuntimeError(f"the cloud did not start: {json.dumps(logs, indent=1)}") from None
                time.sleep(0.1)
