"""Certificates of host agents, made as at enrolment."""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from controlplane.agents.authority import Authority

Files = tuple[Path, Path, Path]  # certificate, key, agent CA


def agent_files(authority: Authority, folder: Path, uuid: str, ip: str) -> Files:
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    pem = request.public_bytes(serialization.Encoding.PEM).decode()
    certificate, key_file, ca = folder / f"{uuid}.pem", folder / f"{uuid}.key", folder / f"{uuid}-ca.pem"
    certificate.write_text(authority.sign_agent(pem, ip, uuid))
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    key_file.write_bytes(key.private_bytes(*plain))
    ca.write_text(authority.agent_ca)
    return certificate, key_file, ca
