"""The control plane as the registry that a provider's source names: real `terraform init`, a release signed by gpg."""

import json
import shutil
import ssl
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.distribution.laptop import VERSION, stack, terraform, tls, works
from tests.provider.cloud import Cloud
from tools.build_provider import SOURCE
from tools.pack_provider import PLATFORM, pack
from tools.sign_provider import sign

REGISTRY = "/terraform/registry/steppe/steppe"
NAME = f"terraform-provider-steppe_{VERSION}"
OS, ARCH = PLATFORM.split("_")


@pytest.fixture(scope="module", autouse=True)
def key_ring() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        home = tempfile.mkdtemp()  # of few letters: gpg's sockets lie in it
        patch.setenv("GNUPGHOME", home)
        yield
        subprocess.run(["gpgconf", "--kill", "all"], check=True)
        shutil.rmtree(home)


def new_key(address: str) -> str:
    gpg = ["gpg", "--batch", "--quiet", "--passphrase", ""]
    subprocess.run([*gpg, "--quick-generate-key", address, "rsa2048"], check=True)
    return address


@pytest.fixture(scope="module")
def key(key_ring: None) -> str:
    return new_key("release@steppe.test")


@pytest.fixture
def release(cloud: Cloud, key: str) -> Path:
    """Its signature."""
    return sign(key, cloud.providers)


def get(cloud: Cloud, path: str) -> Any:
    """A document, or the status of an error."""
    trust = ssl.create_default_context(cafile=cloud.state / "pki" / "ca.pem")
    try:
        with urllib.request.urlopen(tls(cloud) + path, context=trust) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code


def init(cloud: Cloud, laptop: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Of a stack whose provider's source is the control plane's own address; no CLI configuration at all."""
    source = tls(cloud).replace("https://127.0.0.1", "localhost") + "/steppe/steppe"
    Path(laptop["HOME"], "stack", "main.tf").write_text(stack(source))
    return terraform(laptop, "init", "-no-color", "-input=false")


@pytest.mark.terraform
@pytest.mark.usefixtures("release")
def test_terraform_init_takes_a_signed_release_from_the_control_plane(cloud: Cloud, laptop: dict[str, str]) -> None:
    done = init(cloud, laptop)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"/steppe/steppe v{VERSION} (self-signed, key ID" in done.stdout
    works(laptop, cloud)


@pytest.mark.terraform
def test_what_was_changed_after_it_was_signed_is_not_installed(
    cloud: Cloud, laptop: dict[str, str], release: Path, tmp_path: Path
) -> None:
    sums = release.with_name(release.name.removesuffix(".sig"))
    whole = sums.read_text()
    (archive,) = release.parent.glob("*.zip")
    packed = archive.read_bytes()

    def complaint() -> str:
        done = init(cloud, laptop)
        assert done.returncode != 0 and not list(tmp_path.rglob("terraform-provider-steppe*"))
        return " ".join(done.stderr.replace("│", " ").split())

    sums.write_text(whole.replace("_manifest.json", "_manifest.json "))
    assert "error checking signature" in complaint()
    sums.write_text(whole)
    archive.write_bytes(packed + b"more")
    assert "checksum" in complaint()
    archive.write_bytes(packed)
    sign(new_key("somebody@else.test"), cloud.providers)
    keys = release.parent / "signing_keys.json"
    known = json.loads(keys.read_text())["gpg_public_keys"]
    assert len(known) == 2, "the keys of earlier releases stay"
    keys.write_text(json.dumps({"gpg_public_keys": known[:1]}))
    assert "signature from unknown issuer" in complaint()


def test_the_documents_of_the_protocol(cloud: Cloud, release: Path) -> None:
    assert get(cloud, "/.well-known/terraform.json") == {"providers.v1": "/terraform/registry/"}
    platforms = [{"os": OS, "arch": ARCH}]
    one = {"version": VERSION, "protocols": ["6.0"], "platforms": platforms}
    assert get(cloud, f"{REGISTRY}/versions") == {"versions": [one]}
    found = get(cloud, f"{REGISTRY}/{VERSION}/download/{OS}/{ARCH}")
    assert found["filename"] == f"{NAME}_{PLATFORM}.zip" and found["protocols"] == ["6.0"]
    assert found["shasums_signature_url"] == f"/terraform/providers/{SOURCE}/{release.name}"
    assert all(len(key["key_id"]) == 16 for key in found["signing_keys"]["gpg_public_keys"])
    for path in (
        "/terraform/registry/other/steppe/versions",
        "/terraform/registry/*/steppe/versions",
        "/terraform/registry/%2e%2e/steppe/versions",
        f"{REGISTRY}/0.0.1/download/{OS}/{ARCH}",
        f"{REGISTRY}/{VERSION}/download/plan9/arm",
    ):
        assert get(cloud, path) == 404, path


def test_what_is_not_signed_is_not_offered(cloud: Cloud, release: Path) -> None:
    pack(cloud.providers)
    assert get(cloud, f"{REGISTRY}/versions") != 404, "the same bytes: the signature holds"
    (sums,) = release.parent.glob("*_SHA256SUMS")
    sums.write_text("0" * 64 + sums.read_text()[64:])
    pack(cloud.providers)
    assert get(cloud, f"{REGISTRY}/versions") == 404, "other bytes than were signed"
    sign("release@steppe.test", cloud.providers)
    release.unlink()
    assert get(cloud, f"{REGISTRY}/versions") == 404
