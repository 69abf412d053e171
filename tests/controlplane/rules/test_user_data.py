"""What is served of what was written."""

import base64
import email
import gzip
import stat
import subprocess

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from controlplane.rules.user_data import public_keys, render

KEY = "ssh-ed25519 AAAAC3Nza me@example.org"


def test_nothing_is_nothing():
    assert render(None, []) == b""
    assert render("", []) == b""


def test_the_two_characters_become_a_line_feed():
    assert render("#cloud-config\\nusers: []\\n", []) == b"#cloud-config\nusers: []\n"


@pytest.mark.parametrize(
    "text",
    ["#!/bin/sh\necho hi\n", "#cloud-config\na: 1\n", "#include\nhttp://x/\n", "MIME-Version: 1.0\n\nx: 1", "words"],
)
def test_a_known_form_is_served_as_it_is(text):
    assert render(text, []) == text.encode()


def test_yaml_without_header_gets_it():
    served = render("groups:\\n  - foo: [root,sys]\\n", [])
    assert served.startswith(b"#cloud-config\n")
    assert yaml.safe_load(served) == {"groups": [{"foo": ["root", "sys"]}]}


@given(st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=6))
def test_base64_of_text_is_decoded(text):
    written = base64.b64encode(b"#!" + text.encode()).decode()
    assert render(written, []) == b"#!" + text.encode()


def test_base64_of_gzip_is_decoded():
    packed = gzip.compress(b"#cloud-config\n")
    assert render(base64.b64encode(packed).decode(), []) == packed


@pytest.mark.parametrize("word", ["hostname", "abcd", "deadbeef", "userdata"])
def test_a_word_that_happens_to_be_base64_stays_a_word(word):
    assert render(word, []) == word.encode()


def test_a_key_alone_becomes_cloud_config():
    served = render(None, [KEY])
    assert served.startswith(b"#cloud-config\n")
    assert yaml.safe_load(served) == {"disable_root": False, "ssh_authorized_keys": [KEY]}


@pytest.mark.parametrize(
    ("text", "kind"), [("#cloud-config\nusers: []\n", "text/cloud-config"), ("#!/bin/sh\n", "text/x-shellscript")]
)
def test_data_and_key_become_one_document(text, kind):
    message = email.message_from_bytes(render(text, [KEY]))
    assert message.get_content_type() == "multipart/mixed"
    own, keys = message.get_payload()
    assert own.get_content_type() == kind
    assert own.get_payload(decode=True).decode() == text
    assert keys.get_content_type() == "text/cloud-config"
    assert yaml.safe_load(keys.get_payload(decode=True))["ssh_authorized_keys"] == [KEY]
    assert "append" in keys["X-Merge-Type"]


def test_a_document_of_the_users_own_stays_whole_beside_the_key():
    own = render("#!/bin/sh\n", [KEY])
    message = email.message_from_bytes(render(own.decode(), ["ssh-rsa BBBB"]))
    inner, keys = message.get_payload()
    assert inner.get_content_type() == "multipart/mixed"
    assert [part.get_content_type() for part in inner.get_payload()] == ["text/x-shellscript", "text/cloud-config"]
    assert keys.get_content_type() == "text/cloud-config"


def test_keys_are_one_a_line_and_once():
    assert public_keys([f"{KEY}\\n{KEY}", "  ssh-rsa B\n# comment\n"]) == [KEY, "ssh-rsa B"]


def test_text_of_several_lines_was_not_minified():
    script = "#!/bin/sh\nprintf 'a\\n'\n"
    assert render(script, []) == script.encode()


def test_a_password_is_set_whatever_characters_it_has():
    served = render(None, [], "p: [{'\"#\\ä")
    assert yaml.safe_load(served)["chpasswd"] == {"expire": False, "list": ["root:p: [{'\"#\\ä"]}


def test_revoked_keys_are_taken_from_every_account(tmp_path):
    """The served script itself, on a tree of homes."""
    gone, kept = f"ssh-rsa {'Z' * 40}", f"ssh-rsa {'Y' * 40} me"
    script = render(None, [], None, ["Z" * 40]).decode()
    assert script.startswith("#cloud-boothook\n#!/bin/sh\n")
    passwd = tmp_path / "passwd"
    homes = [tmp_path / name for name in ("one", "two", "none")]
    for home in homes[:2]:
        (home / ".ssh").mkdir(parents=True)
        (home / ".ssh/authorized_keys").write_text(f"# mine\n{gone}\n{kept}\n")
    (homes[0] / ".ssh/authorized_keys").chmod(0o600)
    passwd.write_text("".join(f"u:x:1:1::{home}:/bin/sh\n" for home in homes))
    subprocess.run(["sh", "-c", script.replace("/etc/passwd", str(passwd))], check=True)
    for home in homes[:2]:
        assert (home / ".ssh/authorized_keys").read_text() == f"# mine\n{kept}\n"
    assert stat.S_IMODE((homes[0] / ".ssh/authorized_keys").stat().st_mode) == 0o600
    assert render(None, [gone], None, ["Z" * 40]) == render(None, [gone])  # given again


_BODIES = st.one_of(
    st.binary(min_size=1, max_size=400).map(lambda data: gzip.compress(data, mtime=0)),
    st.sampled_from([b"#!/bin/sh\r\n", b"#cloud-config\r\na: 1\n", b"#cloud-boothook\n", b"## template: jinja\n#!/bin/sh\n",
                     b"#cloud-config-archive\n- a\n", b"#include\nhttp://x/\n"])
    .flatmap(lambda head: st.text(st.characters(codec="utf-8", exclude_categories=("C",))).map(
        lambda tail: head + tail.encode() + b"\ttail\n\n")),
)  # fmt: skip


@given(_BODIES)
def test_every_byte_survives_alone_and_beside_a_key(body):
    written = base64.b64encode(body).decode()
    assert render(written, []) == body
    own, _ = email.message_from_bytes(render(written, [KEY])).get_payload()
    served = own.get_payload(decode=True)
    if own.get_content_type() == "application/x-gzip" or not body.startswith(b"\x1f\x8b"):
        assert served == body
    else:
        assert served.removeprefix(b"#cloud-config\n") == gzip.decompress(body).removeprefix(b"#cloud-config\n")


@given(st.text(max_size=300), st.lists(st.text(max_size=80), max_size=3))
def test_any_text_can_be_served(text, keys):
    render(
        text.replace("\0", "").encode("utf-8", "ignore").decode(),
        [key.encode("utf-8", "ignore").decode() for key in keys],
    )
