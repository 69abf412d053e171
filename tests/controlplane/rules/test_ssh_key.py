"""What is a public key."""

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.rules.ssh_key import blob, mended


def key(kind: str, *strings: bytes) -> str:
    packed = b"".join(struct.pack(">I", len(each)) + each for each in (kind.encode(), *strings))
    return f"{kind} {base64.b64encode(packed).decode()}"


ED25519 = key("ssh-ed25519", b"k" * 32)
RSA = key("ssh-rsa", b"\1\0\1", b"\0" + b"n" * 128)
NISTP = key("ecdsa-sha2-nistp256", b"nistp256", b"\4" + b"q" * 64)


@pytest.mark.parametrize("line", [ED25519, RSA, NISTP, f"{RSA} me@example.org", f"{ED25519} a comment of words"])
def test_a_key_stays_as_it_is(line: str) -> None:
    assert mended(line) == line
    assert blob(line) == line.split()[1]


def test_options_may_stand_before_it() -> None:
    line = f'command="echo \\"hi there\\"",no-pty {ED25519} me'
    assert mended(line) == line
    assert blob(line) == ED25519.split()[1]


@given(st.lists(st.integers(9, 150), min_size=1, max_size=4, unique=True))
def test_blanks_within_the_base64_are_taken_out(cuts: list[int]) -> None:
    broken = RSA
    for cut in sorted(cuts, reverse=True):
        broken = f"{broken[:cut]}    {broken[cut:]}"
    assert mended(f"{broken} root@node").split() == [*RSA.split(), "root@node"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("AAAAB3NzaC1yc2E", "no key type"),
        ("ssh-rsa", "missing"),
        ("ssh-rsa notbase64!", "no base64"),
        (ED25519[:-8], "cut off"),
        (ED25519.replace("ssh-ed25519", "ssh-rsa"), "no base64 of such a key"),
        (key("ssh-rsa", b"\1\0\1"), "no base64 of such a key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "private key"),
    ],
)
def test_what_is_no_key_is_refused_with_the_reason(line: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        mended(line)


@given(st.text(max_size=200))
def test_any_text_is_a_key_or_refused(text: str) -> None:
    for line in (text, f"ssh-rsa {text}"):
        if line.strip():
            try:
                mended(line)
            except ValueError as error:
                assert "private" in str(error) or "key" in str(error)
