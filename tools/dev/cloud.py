"""A control plane and host agents over simulated drivers, as processes of their own, joined by HTTPS with mutual TLS.

Owns those processes: they end with the `with` block, and by the kernel's hand (PR_SET_PDEATHSIG) when the process that
started them is killed; start them from a thread that lives as long as they shall. Nothing exists in the cloud but the
agents' enrolments; `tools.dev.content` fills it. Refuses a port that somebody else has.
"""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from provider.client.control_plane import ControlPlane
from provider.client.transport import Transport
from tools.free_port import free_port

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0  # seconds for a start
GRACE = 15.0  # seconds for an orderly end


class StartError(Exception):
    """Says why the cloud cannot start and what to do."""


class SimulatedCloud:
    """`hosts` agents have enrolled at `addresses`. Start with `with`. Port 0: any free one; no password: a random one."""

    def __init__(
        self, folder: Path, hosts: int, *, port: int = 0, password: str = "", base_ip: str = "127.0.72.1"
    ) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.images = folder / "images"
        self.images.mkdir(parents=True)
        self.providers = folder / "providers"
        self.addresses = [str(ip_address(base_ip) + number) for number in range(hosts)]
        self.port = _must_be_free(port) if port else free_port()
        self.tls_port, self.agent_port = free_port(), free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.password = password
        self._password_file = _secret(folder / "password", password) if password else None
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every process, orderly if it heeds a signal."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    @property
    def pids(self) -> list[int]:
        """Of the control plane, then of the agents' process."""
        return [process.pid for process in self._processes]

    def watch(self) -> None:
        """Raises StartError when a process has ended by itself."""
        for process in self._processes:
            if process.poll() is not None:
                raise StartError(self._last_words(process))

    def connect(self) -> ControlPlane:
        return ControlPlane(Transport(self.endpoint, None), "admin", self.password, threading.Event())

    def start_control_plane(self) -> "subprocess.Popen[bytes]":
        secret = ("--admin-password-file", str(self._password_file)) if self._password_file else ()
        process = self._run(
            "controlplane.main", "--state-dir", str(self.state), "--listen", f"127.0.0.1:{self.port}",
            "--tls-listen", f"127.0.0.1:{self.tls_port}", "--allow-file-images", str(self.images),
            "--provider-mirror", str(self.providers), *secret,
        )  # fmt: skip
        self._await(lambda: urllib.request.urlopen(f"{self.endpoint}/healthz", timeout=1).read())  # noqa: S310
        return process

    def _start(self) -> None:
        self.start_control_plane()
        if not self.password:
            self.password = (self.state / "admin-password").read_text().strip()
        self.client = self.connect()
        self.client.log_in()
        if not self.addresses:
            return
        tokens = [self._enrolment_token(address) for address in self.addresses]
        token_file = _secret(self.folder / "tokens", "\n".join(tokens))
        self._run(
            "hostagent.main", "--sim", "--count", str(len(tokens)), "--base-ip", self.addresses[0],
            "--port", str(self.agent_port), "--state-dir", str(self.folder / "agents"),
            "--server", f"https://127.0.0.1:{self.tls_port}", "--ca-file", str(self.state / "pki" / "ca.pem"),
            "--token-file", str(token_file),
        )  # fmt: skip
        for address in self.addresses:
            self._await(lambda address=address: socket.create_connection((address, self.agent_port), 1).close())  # type: ignore[misc]

    def _enrolment_token(self, address: str) -> str:
        made = self.client.create(
            "CreateHostEnrollmentToken", "/hosts/enrollment-tokens", {"managementIp": address}, timeout=30
        )
        return str(made["token"])

    def _run(self, module: str, *arguments: str) -> "subprocess.Popen[bytes]":
        """In a session of its own: Ctrl-C is ours to hear, and ours to pass on."""
        dies_with_us = [shutil.which("setpriv") or "/usr/bin/setpriv", "--pdeathsig", "TERM", "--"]
        with self._log(module).open("ab") as log:
            process = subprocess.Popen(
                [*dies_with_us, sys.executable, "-m", module, *arguments],
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=dict(os.environ), start_new_session=True,
            )  # fmt: skip
        self._processes.append(process)
        return process

    def _await(self, probe: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                probe()
                return
            except OSError as error:
                self.watch()
                if time.monotonic() > deadline:
                    words = self._last_words(self._processes[-1])
                    raise StartError(f"not ready within {PATIENCE:g} s: {words}") from error
                time.sleep(0.1)

    def _log(self, module: str) -> Path:
        return self.folder / f"{module}.log"

    def _last_words(self, process: "subprocess.Popen[bytes]") -> str:
        arguments = [str(word) for word in process.args]  # type: ignore[union-attr]
        module = arguments[arguments.index("-m") + 1]
        lines = self._log(module).read_text(errors="replace").splitlines()
        state = "runs" if process.returncode is None else f"ended with {process.returncode}"
        return f"{module} {state}; its last words: " + "\n".join(lines[-5:])


def _must_be_free(port: int) -> int:
    try:
        with socket.create_server(("127.0.0.1", port)):
            return port
    except OSError as error:
        raise StartError(
            f"127.0.0.1:{port} cannot be listened on ({os.strerror(error.errno or 0)}): choose another port"
        ) from error


def _secret(path: Path, text: str) -> Path:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text + "\n")
    return path
