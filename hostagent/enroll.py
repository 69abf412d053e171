"""How a host becomes known: a key made here, a one-time token, a certificate from the control plane's agent CA.

The private key never leaves the state directory (files of mode 0600). Enrolling again replaces the identity only
after the control plane has answered.
"""

from __future__ import annotations

import json
import os
import ssl
from dataclasses import dataclass
from pathlib import Path

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hostagent.drivers.files import write_atomically

TIMEOUT = 30.0  # seconds


class EnrolmentError(Exception):
    """Says what went wrong and what to do; holds no secret."""


@dataclass(frozen=True)
class Identity:
    """Who this agent is: where it listens and the files of its mutual TLS."""

    directory: Path
    host_agent_uuid: str
    management_ip: str
    port: int

    @property
    def key_file(self) -> Path:
        return self.directory / "agent.key"

    @property
    def certificate_file(self) -> Path:
        return self.directory / "agent.pem"

    @property
    def agent_ca_file(self) -> Path:
        """Signs the agents: whom we export files to, whose exports we import."""
        return self.directory / "agent-ca.pem"

    @property
    def control_ca_file(self) -> Path:
        """Signs the control plane: its client certificates towards us, its server certificate for image downloads."""
        return self.directory / "control-ca.pem"

    @classmethod
    def load(cls, directory: Path) -> Identity | None:
        """The identity in a state directory, None when it was never enrolled."""
        try:
            known = json.loads((directory / "identity.json").read_text())
        except FileNotFoundError:
            return None
        return cls(directory, known["host_agent_uuid"], known["management_ip"], known["port"])


def enroll(
    *, server: str, ca_file: Path | None, token: str, management_ip: str, port: int, directory: Path
) -> Identity:
    """Make a key, ask for a certificate, keep both. Raises: EnrolmentError."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, management_ip)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    answer = _post(
        server.rstrip("/") + "/v1/agent-enrollments",
        ca_file,
        {
            "token": token,
            "csr": request.public_bytes(serialization.Encoding.PEM).decode(),
            "management_ip": management_ip,
            "port": port,
        },
    )
    try:
        certificate = x509.load_pem_x509_certificate(answer["certificate"].encode())
        control_ca = x509.load_pem_x509_certificate(answer["control_ca"].encode())
        agent_ca = x509.load_pem_x509_certificate(answer["agent_ca"].encode())
        identity = Identity(directory, answer["host_agent_uuid"], management_ip, port)
    except (KeyError, ValueError, AttributeError) as error:
        raise EnrolmentError(f"{server} gave an unusable answer: {error}") from error
    if certificate.public_key() != key.public_key():
        raise EnrolmentError(f"{server} gave a certificate for another key")
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_atomically(identity.key_file, secret)
    write_atomically(identity.certificate_file, certificate.public_bytes(pem))
    write_atomically(identity.control_ca_file, control_ca.public_bytes(pem))
    write_atomically(identity.agent_ca_file, agent_ca.public_bytes(pem))
    known = {"host_agent_uuid": identity.host_agent_uuid, "management_ip": management_ip, "port": port}
    write_atomically(directory / "identity.json", json.dumps(known).encode())
    return identity


def _post(url: str, ca_file: Path | None, body: dict[str, str | int]) -> dict[str, str]:
    if not url.startswith("https://"):
        raise EnrolmentError(f"the server must be an https:// address, not {url}: the token is a secret")
    try:
        context = ssl.create_default_context(cafile=os.fspath(ca_file) if ca_file else None)
        with httpx.Client(verify=context, timeout=TIMEOUT, trust_env=False) as client:
            answer = client.post(url, json=body)
    except (httpx.HTTPError, OSError) as error:
        raise EnrolmentError(f"cannot reach {url}: {error}") from error
    if not answer.is_success:
        raise EnrolmentError(f"{url} refused with HTTP {answer.status_code}: {answer.text[:500]}")
    try:
        document = answer.json()
    except ValueError as error:
        raise EnrolmentError(f"{url} did not answer with JSON") from error
    if not isinstance(document, dict):
        raise EnrolmentError(f"{url} did not answer with a JSON object")
    return document
