"""User data when it is set: refused with its place, told with its place, or fine."""

import base64
import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.rules.user_data import UNPACKED, render
from controlplane.rules.user_data_check import warnings
from controlplane.rules.yaml_text import Unreadable

MIXED = 'Content-Type: multipart/mixed; boundary="b"\nMIME-Version: 1.0\n\n--b\nContent-Type: text/{}\n\n{}\n--b--\n'


@pytest.mark.parametrize(
    "text",
    [
        "#!/bin/sh\necho : [ not yaml\n",
        "#cloud-config\n",
        "#cloud-config\nusers: [default, {name: a, sudo: ['ALL=(ALL) ALL'], uid: 7}]\nruncmd: [[ls, -l], 'true']\n",
        "groups:\\n  - a: [b,c]\\n",
        "## template: jinja\n#cloud-config\nhostname: {{ v1.x }}\n",
        "#cloud-boothook\n#!/bin/sh\n",
        "#include\nhttp://example.org/x\n",
        "#cloud-config-archive\n- type: text/cloud-config\n  content: 'packages: [vim]'\n- '#!/bin/sh'\n",
        MIXED.format("cloud-config", "packages: [vim]"),
        MIXED.format("x-shellscript", "#!/bin/sh"),
        base64.b64encode(b"#cloud-config\npackages: [vim]\n").decode(),
        base64.b64encode(gzip.compress(b"#!/bin/sh\n", mtime=0)).decode(),
        "<powershell>\nGet-Date\n</powershell>",
    ],
)
def test_fine(text):
    assert warnings(text) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("#cloud-config\nusers:\n  - name: a\n   b: c\n", "line 4, column 4"),
        ("#cloud-config\na: [1, 2\nb: 3\n", "line 3, column 2"),
        ("users:\\n- a\\n- b: [\\n", "line 4"),
        ("#cloud-config\n- a\n", "line 2, column 1: a cloud-config is a mapping"),
        ("#cloud-config\nd: 2012-99-01\n", "line 2, column 4: 2012-99-01 is no date"),
        ("#cloud-config\na: !!python/object:os.system x\n", "line 2, column 4: the tag"),
        ("#cloud-config\n? [a]\n: b\n", "line 2, column 3: a key must be a word"),
        ("#cloud-config\na: " + "[" * 60_000, "nested more than 100 deep"),
        ("#cloud-config\n" + "- " * 30_000, "nested more than 100 deep"),
        ("#cloud-config\na: \x07", "line 2, column 4: the character U\\+0007"),
        ("#cloud-config-archive\na: b\n", "is a list"),
        (MIXED.format("cloud-config", "a: ["), "part 1, line 2"),
        ("Content-Type: multipart/mixed\n\nx", "no boundary"),
        ('Content-Type: multipart/mixed; boundary="b"\n\nx', "no part"),
        (base64.b64encode(gzip.compress(b"#cloud-config\na: [", mtime=0)).decode(), "unpacked, line 3"),
        (base64.b64encode(gzip.compress(b"x" * 999, mtime=0)[:-9]).decode(), "cut off|damaged"),
        (base64.b64encode(gzip.compress(b"x" * (UNPACKED + 1), mtime=0)).decode(), "unpacks to more than"),
    ],
)
def test_refused(text, said):
    with pytest.raises(Unreadable, match=said):
        warnings(text)


def test_told():
    text = "#cloud-config\nuser: []\npackage: [x]\nusers:\n- name: a\n  lock-passwd: true\n  inactive: 3\nruncmd: a\nruncmd: [a]\n"
    assert warnings(text) == (
        "line 2, column 7: user should be a mapping or text, it is a list",
        'line 3, column 1: package is no key that cloud-init knows, did you mean "packages"?',
        "line 6, column 3: users[0].lock-passwd is an old spelling of lock_passwd",
        "line 7, column 13: users[0].inactive should be text, it is a number",
        "line 8, column 9: runcmd should be a list, it is text",
        "line 9, column 1: runcmd is given twice; the last one counts",
    )
    assert "none of cloud-init's formats" in warnings("words")[0]


def test_warnings_are_bounded():
    found = warnings("#cloud-config\n" + "".join(f"key{n}: 1\n" for n in range(500)))
    assert len(found) == 21 and found[-1] == "and 480 more"


def test_aliases_do_not_grow():
    levels = "".join(f"l{n}: &l{n} [{','.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 60))
    assert len(warnings(f"#cloud-config\nl0: &l0 [a]\n{levels}")) == 21
    merged = "".join(f"m{n}: &m{n} {{<<: [{','.join([f'*m{n - 1}'] * 9)}]}}\n" for n in range(1, 40))
    assert warnings(f"#cloud-config\nm0: &m0 {{a: 1}}\n{merged}")


_YAML = st.text("abc:-[]{}&*!|>'\"#%@\\ \n\t0", max_size=200)


@given(st.sampled_from(["", "#cloud-config\n", "#cloud-config-archive\n", "users:\n"]), _YAML)
def test_any_text_is_fine_or_refused_and_can_be_served(start, text):
    try:
        warnings(start + text)
    except Unreadable as error:
        assert str(error)
    render(start + text, [])
