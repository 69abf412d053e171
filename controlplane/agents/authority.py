"""The two certificate authorities of a control plane, and the certificates it needs for itself.

The *agent CA* signs host agents' certificates: the control plane trusts them as servers, another agent where it exports
files. The *control CA* signs the control plane's client certificate (whom agents obey) and its public server certificate
(what agents and clients trust: `ca.pem`). Keys are P-256, files of mode 0600 in a directory of mode 0700. Nodes that
share a database share this directory's content.
"""

import hashlib
import hmac
import ipaddress
import os
import secrets
import ssl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from controlplane.contract.error import ApiError, invalid

_CA_DAYS = 3650 * 2
_AGENT_DAYS = 3650  # an agent's identity ends when its host is deleted, not by age
_OWN_DAYS = 90
_RENEW_DAYS = 30  # own certificates are replaced this long before they end
_SKEW = timedelta(hours=1)  # clocks differ
_UNIT = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Steppe")


class Authority:
    """Makes what is missing in `directory`, reads the rest; `names` are the public server's host names and addresses."""

    def __init__(self, directory: Path, names: list[str]) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._directory = directory
        self._names = sorted(set(names))
        self._agent_ca = _Issuer(directory, "agent-ca", "Steppe agent CA")
        self._control_ca = _Issuer(directory, "control-ca", "Steppe control CA")
        self._secret = _secret(directory / "image-files.key")
        _write(directory / "ca.pem", self._control_ca.pem, 0o644)
        self.renew()

    @property
    def agent_ca(self) -> str:
        return self._agent_ca.pem.decode()

    @property
    def control_ca(self) -> str:
        """Also the CA of the public HTTPS port."""
        return self._control_ca.pem.decode()

    @property
    def ca_file(self) -> Path:
        return self._directory / "ca.pem"

    # -- agents --------------------------------------------------------------------------------------------------

    def sign_agent(self, csr_pem: str, host_ip: str, agent_uuid: str) -> str:
        """An agent's certificate (PEM), as a server and towards other agents. Of the request only its key is used.
        Raises SYS.1007 when unusable."""
        try:
            csr = x509.load_pem_x509_csr(csr_pem.encode())
            signed = csr.is_signature_valid
            key = csr.public_key()
        except (ValueError, InvalidSignature, TypeError) as error:
            raise invalid("csr is no certificate signing request in PEM") from error
        if not signed:
            raise invalid("csr is not signed by its own key")
        strong = (
            isinstance(key, ed25519.Ed25519PublicKey)
            or (isinstance(key, ec.EllipticCurvePublicKey) and key.key_size >= 256)
            or (isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048)
        )
        if not strong or not isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey):
            raise invalid("csr has a weak key; P-256, Ed25519 and RSA from 2048 bits are accepted")
        usage = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        return self._agent_ca.sign(key, agent_uuid, [host_ip], usage, _AGENT_DAYS).decode()

    # -- own certificates ----------------------------------------------------------------------------------------

    def renew(self) -> bool:
        """Replace own certificates that end soon or lack a name; True when some were. Cheap: call it daily."""
        client = self._ensure_own("client", [], ExtendedKeyUsageOID.CLIENT_AUTH)
        server = self._ensure_own("server", self._names, ExtendedKeyUsageOID.SERVER_AUTH)
        return client or server

    def client_context(self) -> ssl.SSLContext:
        """For connections to agents: they must show a certificate of the agent CA for the address called."""
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cadata=self.agent_ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self._directory / "client.pem", self._directory / "client.key")
        return context

    @property
    def server_files(self) -> tuple[Path, Path]:
        """(certificate, key) of the public HTTPS port."""
        return self._directory / "server.pem", self._directory / "server.key"

    def _ensure_own(self, name: str, names: list[str], usage: x509.ObjectIdentifier) -> bool:
        certificate, key_file = self._directory / f"{name}.pem", self._directory / f"{name}.key"
        if certificate.exists() and key_file.exists():
            current = x509.load_pem_x509_certificate(certificate.read_bytes())
            left = current.not_valid_after_utc - datetime.now(UTC)
            if left > timedelta(days=_RENEW_DAYS) and _names_of(current) == names and self._control_ca.issued(current):
                return False
        key = ec.generate_private_key(ec.SECP256R1())
        pem = self._control_ca.sign(key.public_key(), f"steppe {name}", names, [usage], _OWN_DAYS)
        _write(key_file, _key_pem(key), 0o600)
        _write(certificate, pem, 0o644)
        return True

    # -- image files ---------------------------------------------------------------------------------------------

    def image_token(self, image_uuid: str, lifetime: int = 6 * 3600) -> str:
        """A bearer token for one image's file: `<expiry>.<HMAC>`; nothing is stored."""
        expiry = int(time.time()) + lifetime
        return f"{expiry}.{self._mac(image_uuid, expiry)}"

    def image_token_valid(self, image_uuid: str, token: str) -> bool:
        expiry, _, mac = token.partition(".")
        if not expiry.isascii() or not expiry.isdigit() or len(expiry) > 12 or int(expiry) < time.time():
            return False
        return hmac.compare_digest(mac.encode(), self._mac(image_uuid, int(expiry)).encode())

    def console_password(self, vm_uuid: str) -> str:
        """Of a VM's own graphics port: eight characters, as VNC knows no more. Nothing is stored."""
        return hmac.new(self._secret, f"console {vm_uuid}".encode(), hashlib.sha256).hexdigest()[:8]

    def _mac(self, image_uuid: str, expiry: int) -> str:
        return hmac.new(self._secret, f"image-file {image_uuid} {expiry}".encode(), hashlib.sha256).hexdigest()


class _Issuer:
    """A self-signed CA in two files."""

    def __init__(self, directory: Path, name: str, title: str) -> None:
        key_file, certificate = directory / f"{name}.key", directory / f"{name}.pem"
        if not key_file.exists():
            _write(key_file, _key_pem(ec.generate_private_key(ec.SECP256R1())), 0o600)
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ApiError("SYS.1000", f"{key_file} holds no elliptic-curve key")
        self._key = key
        if not certificate.exists():
            _write(certificate, self._self_signed(title), 0o644)
        self.pem = certificate.read_bytes()
        self._certificate = x509.load_pem_x509_certificate(self.pem)

    def _self_signed(self, title: str) -> bytes:
        subject = x509.Name([_UNIT, x509.NameAttribute(NameOID.COMMON_NAME, title)])
        public = self._key.public_key()
        builder = _builder(subject, subject, public, _CA_DAYS)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_key_usage(ca=True), critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def issued(self, certificate: x509.Certificate) -> bool:
        try:
            certificate.verify_directly_issued_by(self._certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True

    def sign(
        self,
        key: CertificateIssuerPublicKeyTypes,
        common_name: str,
        names: list[str],
        usage: list[x509.ObjectIdentifier],
        days: int,
    ) -> bytes:
        subject = x509.Name([_UNIT, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        builder = _builder(subject, self._certificate.subject, key, days)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(ca=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
        own = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(own, critical=False)
        if names:
            alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
            builder = builder.add_extension(alternatives, critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: CertificateIssuerPublicKeyTypes, days: int
) -> x509.CertificateBuilder:
    moment = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(moment - _SKEW).not_valid_after(moment + timedelta(days=days))


def _key_usage(ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _names_of(certificate: x509.Certificate) -> list[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return sorted(str(name.value) for name in extension.value)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _secret(path: Path) -> bytes:
    if not path.exists():
        _write(path, secrets.token_bytes(32), 0o600)
    return path.read_bytes()


def _write(path: Path, content: bytes, mode: int) -> None:
    """Whole or not at all, and never readable by others in between."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
