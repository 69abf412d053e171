"""The key pair with which the provider encrypts its socket: P-256, self-signed, cached for the user alone.

Terraform trusts exactly the certificate that the handshake names, so it need not be known to anybody else. Making one
costs 100 ms and a heavy import; a cached one costs a read. A cache that others could read or write is not used.
"""

import os
import stat
import time
from pathlib import Path

RENEW_AFTER = 30 * 86400.0  # seconds; certificates are valid for 90 days


def key_and_certificate(cache: Path | None = None) -> tuple[bytes, bytes]:
    """PEM of the private key and of the certificate."""
    path = cache or _cache_path()
    pem = _cached(path)
    if pem is None:
        pem = _make()
        _store(path, pem)
    key, _, certificate = pem.partition(b"-----BEGIN CERTIFICATE-----")
    return key, b"-----BEGIN CERTIFICATE-----" + certificate


def _cache_path() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(home) / "steppe-provider" / "plugin.pem"


def _cached(path: Path) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(file.fileno())
        ours = facts.st_uid == os.geteuid() and stat.S_IMODE(facts.st_mode) == 0o600 and stat.S_ISREG(facts.st_mode)
        if not ours or not 0 <= time.time() - facts.st_mtime < RENEW_AFTER:
            return None
        pem = file.read()
    return pem if pem.count(b"-----END ") == 2 else None


def _store(path: Path, pem: bytes) -> None:
    """Best effort: without a cache the next start is slower, nothing else."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
        os.replace(fresh, path)
    except OSError:
        return


def _make() -> bytes:
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=90))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + certificate.public_bytes(serialization.Encoding.PEM)
