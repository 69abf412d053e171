"""The judge of what we serve is cloud-init itself: Debian's package, unpacked, never installed."""

import base64
import gzip
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from controlplane.rules.user_data import render
from tests.controlplane.rules.test_user_data import KEY
from tools.guests import packages
from tools.guests.cache import Image, image

pytestmark = pytest.mark.host
_PACKAGES = (
    "cloud-init", "python3-configobj", "python3-six", "python3-oauthlib", "python3-jsonpatch", "python3-json-pointer",
    "python3-requests", "python3-urllib3", "python3-idna", "python3-chardet", "python3-charset-normalizer",
    "python3-certifi", "python3-yaml", "python3-jinja2", "python3-markupsafe",
)  # fmt: skip


def _build(work: Path, out: Path) -> None:
    packages.unpack(_PACKAGES, work / "debs", work / "root")
    with tarfile.open(out, "w:gz") as archive:
        archive.add(work / "root/usr/lib/python3/dist-packages", ".")


CLOUD_INIT = Image("cloud-init", ".tar.gz", (), _PACKAGES, _build)


class Judge:
    def __init__(self, process):
        self._process = process

    def verdict(self, user_data):
        """(parts as (type, bytes), merged cloud-config)"""
        self._process.stdin.write(base64.b64encode(user_data).decode() + "\n")
        self._process.stdin.flush()
        said = json.loads(self._process.stdout.readline())
        return [(kind, base64.b64decode(content)) for kind, content in said["parts"]], said["config"]


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    library, state = tmp_path_factory.mktemp("cloud-init"), tmp_path_factory.mktemp("state")
    with tarfile.open(image(CLOUD_INIT)) as archive:
        archive.extractall(library)
    program = Path(__file__).with_name("cloud_init_judge.py")
    with subprocess.Popen(
        [sys.executable, "-S", program, state],
        env={"PYTHONPATH": str(library), "PATH": "/usr/bin:/bin"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Judge(process)
        process.stdin.close()


NOTES = "groups:\\n  - ubuntu: [foo,bar]\\nusers:\\n  - default\\n  - name: foobar\\n"


def test_the_notes_form_is_understood(judge):
    _, config = judge.verdict(render(NOTES, []))
    assert config["groups"] == [{"ubuntu": ["foo", "bar"]}]
    assert config["users"] == ["default", {"name": "foobar"}]


def test_user_data_keys_and_password_all_apply(judge):
    own = "#cloud-config\nssh_authorized_keys: [own]\ndisable_root: true\nchpasswd: {expire: true}\nusers: [default]\n"
    parts, config = judge.verdict(render(own, [KEY], "geheim", ["Z" * 40]))
    assert [kind for kind, _ in parts] == ["text/cloud-config", "text/cloud-config", "text/cloud-boothook"]
    assert config["ssh_authorized_keys"] == ["own", KEY]
    assert config["users"] == ["default"]
    assert config["disable_root"] is True, "what the user wrote stays"
    assert config["chpasswd"] == {"expire": True, "list": ["root:geheim"]}


def test_keys_alone(judge):
    _, config = judge.verdict(render(None, [KEY]))
    assert config == {"ssh_authorized_keys": [KEY], "disable_root": False}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"#!/bin/sh\r\necho \xc3\xa4\n\n\n", "text/x-shellscript"),
        (b"#cloud-boothook\n#!/bin/sh\n:", "text/cloud-boothook"),
        (b"## template: jinja\n#cloud-config\nhostname: {{ v1.x }}\n", "text/jinja2"),
        (b"#part-handler\ndef list_types(): pass\n", "text/part-handler"),
    ],
)
@pytest.mark.parametrize("keys", [[], [KEY]])
@pytest.mark.parametrize("packed", [False, True])
def test_every_form_arrives_whole(judge, body, kind, keys, packed):
    written = base64.b64encode(gzip.compress(body) if packed else body).decode()
    parts, config = judge.verdict(render(written, keys))
    assert parts[0] == (kind, body)
    assert config.get("ssh_authorized_keys", []) == keys


@pytest.mark.parametrize("keys", [[], [KEY]])
def test_a_multipart_document_and_an_archive_arrive_whole(judge, keys):
    inner = render("#!/bin/sh\necho inner\n", ["ssh-rsa BBBB b"])
    parts, config = judge.verdict(render(inner.decode(), keys))
    assert parts[0] == ("text/x-shellscript", b"#!/bin/sh\necho inner\n")
    assert config["ssh_authorized_keys"] == ["ssh-rsa BBBB b", *keys]
    archive = "#cloud-config-archive\n- type: text/x-shellscript\n  content: '#!/bin/sh'\n- '#cloud-config\n\n  a: 1'\n"
    parts, config = judge.verdict(render(archive, keys))
    assert parts[0] == ("text/x-shellscript", b"#!/bin/sh")
    assert config["a"] == 1
