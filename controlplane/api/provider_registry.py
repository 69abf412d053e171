"""Terraform's registry protocol for the signed releases among the mirror's files: a provider's source may be this host.

A release is a version with `…_SHA256SUMS`, its signature `….sig`, a `…_manifest.json` and its folder's `signing_keys.json`,
as `make release` writes them; what is not signed is not offered here. Whose host the mirror's folder names does not
matter. https://developer.hashicorp.com/terraform/internals/provider-registry-protocol
"""

import json
import re
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from starlette.exceptions import HTTPException

from controlplane.api import provider_mirror

PREFIX = "/terraform/registry/"
_NAME = re.compile(r"[0-9a-z](?:[0-9a-z_-]*[0-9a-z])?")  # of a namespace, of a type
_SUM = re.compile(r"([0-9a-f]{64})  (terraform-provider-[^_/]+_([^_/]+)_([^_/]+)_([^_/]+)\.zip)")


def router(folder: Path) -> APIRouter:
    routes = APIRouter()

    @routes.get("/.well-known/terraform.json", include_in_schema=False)
    def services() -> dict[str, str]:
        return {"providers.v1": PREFIX}

    @routes.get(PREFIX + "{namespace}/{kind}/versions", include_in_schema=False)
    def versions(namespace: str, kind: str) -> dict[str, Any]:
        found = releases(folder, namespace, kind)
        if not found:
            raise HTTPException(404, "no signed release of such a provider")
        return {"versions": [_version(one) for one in found]}

    @routes.get(PREFIX + "{namespace}/{kind}/{version}/download/{os}/{arch}", include_in_schema=False)
    def download(namespace: str, kind: str, version: str, os: str, arch: str) -> dict[str, Any]:
        for sums in releases(folder, namespace, kind):
            for digest, name, *packed in _archives(sums):
                if packed == [version, os, arch]:
                    return _download(folder, sums, digest, name) | {"os": os, "arch": arch}
        raise HTTPException(404, "no signed release of this version for this platform")

    return routes


def releases(folder: Path, namespace: str, kind: str) -> list[Path]:
    """The SHA256SUMS of each signed release."""
    if not (_NAME.fullmatch(namespace) and _NAME.fullmatch(kind)):
        return []
    found = sorted(folder.glob(f"*/{namespace}/{kind}/terraform-provider-{kind}_*_SHA256SUMS"))
    return [one for one in found if all(other.is_file() for other in _companions(one))]


def _companions(sums: Path) -> tuple[Path, Path, Path]:
    """The signature, the manifest, the keys."""
    manifest = sums.with_name(sums.name.removesuffix("SHA256SUMS") + "manifest.json")
    return sums.with_name(sums.name + ".sig"), manifest, sums.with_name("signing_keys.json")


def _archives(sums: Path) -> list[tuple[str, ...]]:
    """Of each zip: checksum, name, version, operating system, architecture."""
    return [match.groups() for line in sums.read_text().splitlines() if (match := _SUM.fullmatch(line))]


def _protocols(sums: Path) -> list[str]:
    manifest = json.loads(_companions(sums)[1].read_text())
    return list(manifest["metadata"]["protocol_versions"])


def _version(sums: Path) -> dict[str, Any]:
    archives = _archives(sums)
    platforms = [{"os": os, "arch": arch} for _, _, _, os, arch in archives]
    return {"version": sums.name.split("_")[1], "protocols": _protocols(sums), "platforms": platforms}


def _download(folder: Path, sums: Path, digest: str, name: str) -> dict[str, Any]:
    base = f"{provider_mirror.PREFIX}/{sums.parent.relative_to(folder).as_posix()}"
    signature, _, keys = _companions(sums)
    return {
        "protocols": _protocols(sums),
        "filename": name,
        "download_url": f"{base}/{name}",
        "shasums_url": f"{base}/{sums.name}",
        "shasums_signature_url": f"{base}/{signature.name}",
        "shasum": digest,
        "signing_keys": json.loads(keys.read_text()),
    }
