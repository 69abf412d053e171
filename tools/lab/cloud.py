"""A whole Steppe in a lab: the control plane on the seat, host agents in the hosts, reached at 127.0.0.1:`port`.

Everything runs as the documentation tells an operator to run it: a host enrols with a one-time token over TLS, and its
agent then serves the control plane alone. Nothing is mocked.
"""

import http.client
import os
import secrets
import sys
import threading
import urllib.request
from pathlib import Path
from typing import Any

from provider.client.control_plane import ControlPlane
from provider.client.transport import Transport
from tools.free_port import free_port
from tools.lab.host import Host
from tools.lab.lab import SEAT, Lab
from tools.lab.namespace import Program, wait_until

ROOT = Path(__file__).resolve().parents[2]
_PLAIN, _TLS = 8080, 8443


class Cloud:
    """`images` is the one directory from which the control plane takes `file://` images. `port` 0: any free one."""

    def __init__(self, lab: Lab, images: Path, port: int = 0, probe_kernel: Path | None = None) -> None:
        self.lab = lab
        self.port = port or free_port()
        self.password = secrets.token_urlsafe(12)
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._images = images
        self._probe_kernel = probe_kernel
        self._agents: dict[str, Program] = {}
        self._state = lab.root / "controlplane"
        self._state.mkdir(mode=0o700, exist_ok=True)
        self._password_file = _secret(lab.root / "admin-password", self.password)
        self._control_plane = self._start_control_plane()
        lab.forward(self.port, _PLAIN)
        self.api = ControlPlane(Transport(self.endpoint, None), "admin", self.password, threading.Event())
        wait_until(self._answers, "the control plane answers (see controlplane.log)", 60)

    def add_hosts(self, *names: str) -> list[Host]:
        """Hosts that have enrolled and run their agents; adding them to a cluster is for Terraform or the CLI."""
        hosts = [self._enrolled(name) for name in names]
        for name in names:
            self._launch_agent(name)
        for name in names:  # all of them find out at the same time whether KVM works
            self._await_agent(name)
        return hosts

    def _enrolled(self, name: str) -> Host:
        host = self.lab.add_host(name)
        token = self._enrolment_token(host.address)
        agent_files = host.directory / "agent"  # the host sees it as /var/lib/steppe
        _secret(agent_files / "token", token["token"])
        (agent_files / "ca.pem").write_text(token["ca"])
        inside = "/var/lib/steppe"
        host.inside.run(
            *(sys.executable, "-m", "hostagent.main", "enroll", "--server", f"https://{SEAT}:{_TLS}"),
            *("--ca-file", f"{inside}/ca.pem", "--token-file", f"{inside}/token", "--management-ip", host.address),
            *("--state-dir", inside),
        )
        (agent_files / "token").unlink()
        return host

    def start_agent(self, name: str) -> None:
        """Start the agent of an enrolled host and wait until it listens."""
        self._launch_agent(name)
        self._await_agent(name)

    def _launch_agent(self, name: str) -> None:
        host = self.lab.hosts[name]
        probe = ("--probe-kernel", self._probe_kernel) if self._probe_kernel else ()
        self._agents[name] = host.inside.start(
            *(sys.executable, "-m", "hostagent.main", "run", "--state-dir", "/var/lib/steppe"),
            *("--libvirt-uri", "qemu:///system", *probe),
            log=self.lab.root / f"{name}-agent.log",
        )

    def _await_agent(self, name: str) -> None:
        wait_until(lambda: self._listens(name), f"the agent of {name} listens (see {name}-agent.log)", 60)

    def stop_agent(self, name: str, signal_number: int = 15) -> None:
        self._agents.pop(name).stop(signal_number)

    def stop_control_plane(self, signal_number: int = 15) -> None:
        self._control_plane.stop(signal_number)

    def start_control_plane(self) -> None:
        """Again, after `stop_control_plane`."""
        self._control_plane = self._start_control_plane()
        wait_until(self._answers, "the control plane answers (see controlplane.log)", 60)

    def _start_control_plane(self) -> Program:
        return self.lab.underlay.start(
            *(sys.executable, "-m", "controlplane.main", "--state-dir", self._state),
            *("--listen", f"127.0.0.1:{_PLAIN}", "--tls-listen", f"{SEAT}:{_TLS}"),
            *("--admin-password-file", self._password_file, "--allow-file-images", self._images),
            *("--provider-mirror", ROOT / "build" / "providers"),
            log=self.lab.root / "controlplane.log",
        )

    def _answers(self) -> bool:
        if not self._control_plane.alive:
            log = (self.lab.root / "controlplane.log").read_text(errors="replace")
            raise RuntimeError(f"the control plane ended: {log[-2000:].strip()}")
        try:
            with urllib.request.urlopen(f"{self.endpoint}/healthz", timeout=2):  # noqa: S310
                pass
        except (OSError, http.client.HTTPException):
            return False
        self.api.log_in()
        return True

    def _listens(self, name: str) -> bool:
        if not self._agents[name].alive:
            log = (self.lab.root / f"{name}-agent.log").read_text(errors="replace")
            raise RuntimeError(f"the agent of {name} ended: {log[-2000:].strip()}")
        return ":7070 " in self.lab.hosts[name].inside.run("ss", "-Hltn")

    def _enrolment_token(self, address: str) -> dict[str, Any]:
        return self.api.create(
            "CreateHostEnrollmentToken", "/hosts/enrollment-tokens", {"managementIp": address}, timeout=30
        )


def _secret(path: Path, text: str) -> Path:
    """A file for its owner only."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    return path
