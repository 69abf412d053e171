"""`steppe provider install`: the Terraform provider, from the control plane into a folder where Terraform looks.

Reads the control plane's network mirror; a file whose checksum is another than the mirror says is not kept. Terraform looks
into ~/.terraform.d/plugins by itself, so after this a plain `terraform init` works on this machine.
"""

import hashlib
import http.client
import json
import os
import platform
import ssl
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from cli.words import Problem

MIRROR = "/terraform/providers/"
SOURCE = "terraform.local/steppe/steppe"
FOLDER = "~/.terraform.d/plugins"
USAGE = f"steppe provider install [FOLDER] (default: {FOLDER})"


def run(server: str, ca_file: str | None, words: list[str]) -> None:
    """Prints where the provider is now."""
    if words[:1] != ["install"] or len(words) > 2:
        raise Problem(f"usage: {USAGE}")
    folder = Path(words[1] if len(words) == 2 else FOLDER).expanduser()
    base = server + MIRROR + SOURCE + "/"
    versions = _document(base, "index.json", ca_file).get("versions", {})
    if not versions:
        raise Problem(f"{server} has no version of {SOURCE}")
    version = max(versions, key=_order)
    archives = _document(base, f"{version}.json", ca_file).get("archives", {})
    here = _platform()
    if here not in archives:
        raise Problem(f"{server} has {SOURCE} {version} for {', '.join(archives) or 'no platform'}, not for {here}")
    archive = archives[here]
    data = _get(urljoin(base, archive["url"]), ca_file)
    wanted = [one for one in archive.get("hashes", []) if one.startswith("zh:")]
    found = "zh:" + hashlib.sha256(data).hexdigest()
    if wanted and found not in wanted:
        raise Problem(
            f"{archive['url']} arrived with the checksum {found}, but {server} promises {wanted[0]}: try again"
        )
    path = folder / SOURCE / f"terraform-provider-steppe_{version}_{here}.zip"
    _store(path, data)
    sys.stdout.write(f"{path}\n")


def _platform() -> str:
    """This machine, as Terraform calls it."""
    machine = platform.machine().lower()
    known = {"x86_64": "amd64", "aarch64": "arm64"}
    return f"{platform.system().lower()}_{known.get(machine, machine)}"


def _store(path: Path, data: bytes) -> None:
    """Whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as fresh:
            fresh.write(data)
        os.chmod(fresh.name, 0o644)
        os.replace(fresh.name, path)
    except OSError as error:
        raise Problem(f"cannot write {path}: {error.strerror}") from None


def _document(base: str, name: str, ca_file: str | None) -> dict[str, Any]:
    try:
        found = json.loads(_get(base + name, ca_file))
    except ValueError:
        raise Problem(f"{base}{name} is not JSON: is this a Steppe control plane?") from None
    return found if isinstance(found, dict) else {}


def _get(url: str, ca_file: str | None) -> bytes:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Problem(f"{url!r} is not of the form http(s)://host[:port]/…")
    connection = _connection(parts.scheme, parts.hostname, parts.port, ca_file)
    try:
        connection.request("GET", parts.path)
        answer = connection.getresponse()
        data = answer.read()
    except ssl.SSLCertVerificationError as error:
        raise Problem(f"{parts.netloc}: its certificate is not trusted ({error}); see --ca") from None
    except (OSError, http.client.HTTPException) as error:
        raise Problem(f"cannot reach {parts.netloc}: {error or type(error).__name__}") from None
    finally:
        connection.close()
    if answer.status != 200:
        raise Problem(
            f"{url} is not there (HTTP {answer.status}): does the control plane serve providers (--provider-mirror)?"
        )
    return data


def _connection(scheme: str, host: str, port: int | None, ca_file: str | None) -> http.client.HTTPConnection:
    if scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=60)
    try:
        trust = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise Problem(f"cannot use the CA file {ca_file}: {error}") from None
    return http.client.HTTPSConnection(host, port, timeout=60, context=trust)


def _order(version: str) -> list[tuple[int, str]]:
    return [(int(part) if part.isdigit() else -1, part) for part in version.split(".")]
