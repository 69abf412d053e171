"""A laptop gets the provider from the control plane: real `terraform init` over HTTPS, and by `steppe provider install`."""

import json
import os
import re
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.distribution.laptop import VERSION, terraform, tls, works
from tests.provider.cloud import Cloud
from tools.build_provider import SOURCE
from tools.pack_provider import PLATFORM, contents, h1, pack

DOCS = (Path(__file__).parents[2] / "docs" / "provider" / "index.md").read_text()


def documented(cloud: Cloud) -> str:
    """The CLI configuration that the documentation tells a user to write, for this control plane."""
    (text,) = re.findall(r"^```hcl\n(.*?)^```$", DOCS, re.MULTILINE | re.DOTALL)
    assert text.count("https://10.0.0.1:8443") == 1
    return text.replace("https://10.0.0.1:8443", tls(cloud))


def steppe(laptop: dict[str, str], cloud: Cloud, *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
    environment = laptop | {"STEPPE_SERVER": tls(cloud), "PYTHONPATH": os.getcwd()} | more
    command = [sys.executable, "-m", "cli.main", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.terraform
def test_terraform_init_takes_the_provider_from_the_control_plane(cloud: Cloud, laptop: dict[str, str]) -> None:
    (Path(laptop["HOME"]) / ".terraformrc").write_text(documented(cloud))
    untrusting = laptop | {"SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": os.devnull}
    refused = terraform(untrusting, "init", "-no-color")
    assert refused.returncode != 0 and "failed to verify certificate" in " ".join(refused.stderr.split()), (
        refused.stderr
    )

    done = terraform(laptop, "init", "-no-color", "-input=false")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Installed {SOURCE} v{VERSION} (verified checksum)" in done.stdout
    lock = (Path(laptop["HOME"]) / "stack" / ".terraform.lock.hcl").read_text()
    assert h1(contents(VERSION)) in lock
    works(laptop, cloud)
    # It ran, and left no byte code behind: the lock still holds.
    assert terraform(laptop, "init", "-no-color", "-lockfile=readonly").returncode == 0


@pytest.mark.terraform
def test_steppe_provider_install_fills_the_folder_where_terraform_looks(cloud: Cloud, laptop: dict[str, str]) -> None:
    done = steppe(laptop, cloud, "provider", "install")
    path = Path(laptop["HOME"], ".terraform.d/plugins", SOURCE, f"terraform-provider-steppe_{VERSION}_{PLATFORM}.zip")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{path}\n", "")
    assert path.read_bytes() == next(cloud.providers.rglob("*.zip")).read_bytes()
    init = terraform(laptop, "init", "-no-color", "-input=false")
    assert init.returncode == 0, init.stdout + init.stderr
    works(laptop, cloud)
    other = Path(laptop["HOME"], "elsewhere")
    assert steppe(laptop, cloud, "provider", "install", str(other)).returncode == 0
    assert [one.name for one in other.rglob("*.zip")] == [path.name]


def test_steppe_provider_install_says_what_is_wrong(cloud: Cloud, laptop: dict[str, str], tmp_path: Path) -> None:
    home = cloud.providers / SOURCE
    one = (home / f"{VERSION}.json").read_text()

    def complaint(*words: str, **more: str) -> str:
        done = steppe(laptop, cloud, "provider", *words, **more)
        assert done.returncode == 1 and not done.stdout
        return done.stderr

    assert "usage: steppe provider install [FOLDER]" in complaint("remove")
    assert "certificate is not trusted" in complaint("install", STEPPE_CA_FILE="", SSL_CERT_FILE=os.devnull)
    assert "cannot reach 127.0.0.1:1" in complaint("install", STEPPE_SERVER="https://127.0.0.1:1")
    assert "Not a directory" in complaint("install", "/dev/null/x")
    try:
        (home / f"{VERSION}.json").write_text(one.replace("linux_amd64", "plan9_arm"))
        assert "for plan9_arm, not for linux_amd64" in complaint("install")
        (home / f"{VERSION}.json").write_text(one.replace("zh:", "zh:0"))
        assert "arrived with the checksum zh:" in complaint("install")
        (home / f"{VERSION}.json").unlink()
        assert "is not there (HTTP 404)" in complaint("install")
    finally:
        (home / f"{VERSION}.json").write_text(one)
    assert not list(tmp_path.rglob("*.zip"))


def test_only_files_of_the_folder_are_served(cloud: Cloud) -> None:
    trust = ssl.create_default_context(cafile=cloud.state / "pki" / "ca.pem")

    def get(path: str) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(tls(cloud) + path, context=trust) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    status, index = get(f"/terraform/providers/{SOURCE}/index.json")
    assert (status, json.loads(index)) == (200, {"versions": {VERSION: {}}})
    (cloud.providers.parent / "secret").write_text("secret")
    (cloud.providers / "link").symlink_to(cloud.providers.parent / "secret")
    for path in (
        "",
        f"{SOURCE}",
        "nothing",
        "../secret",
        "%2e%2e/secret",
        "..%2fsecret",
        "/etc/passwd",
        "link",
        "a%00b",
    ):
        status, answer = get(f"/terraform/providers/{path}")
        assert status == 404 and b"secret" not in answer, path


def test_two_packs_give_the_same_bytes_and_older_versions_stay(tmp_path: Path) -> None:
    old = tmp_path / SOURCE / "0.9.0.json"
    old.parent.mkdir(parents=True)
    old.write_text("{}")
    first = pack(tmp_path)
    other = "import sys, pathlib, xml.dom.minidom, typing_extensions; from tools.pack_provider import pack"
    program = f"{other}; pack(pathlib.Path(sys.argv[1]))"  # what a process has loaded can show in byte code
    subprocess.run([sys.executable, "-c", program, tmp_path / "other"], check=True, env={"PYTHONHASHSEED": "7"})
    assert (tmp_path / "other" / first.relative_to(tmp_path)).read_bytes() == first.read_bytes()
    assert json.loads((old.parent / "index.json").read_text()) == {"versions": {"0.9.0": {}, VERSION: {}}}


def test_a_machine_without_that_python_is_told_so(tmp_path: Path) -> None:
    program = tmp_path / "provider"
    launcher = contents(VERSION)[f"terraform-provider-steppe_v{VERSION}"].decode()
    assert launcher.count("/usr/bin/python3.") == 1
    program.write_text(launcher.replace("/usr/bin/", "/nowhere/"))
    done = subprocess.run(["/bin/sh", program], env={"PATH": "/nowhere"}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("The Steppe provider needs python3.") and "there is none" in done.stderr
