"""What the writer of YAML writes is read back the same by a reader of others."""

import yaml as reader
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provider.functions.yaml import document

TEXTS = st.text(max_size=30) | st.sampled_from(
    ["yes", "No", "NULL", "~", "1", "1.5", "0x1f", "1:30", "2001-01-01", "a: b", "a #b", "- a", "|", "", " a", "a\n b\n",
     "a\nb\n", "\na\n", "a\n\n", "a\n", "#!/bin/sh\necho a\n\necho b\n", "# note\n", "a:", "=", "<<", ".inf", "é\nb\n"]
)  # fmt: skip
SCALARS = TEXTS | st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False)
DATA = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=12
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(TEXTS, DATA, min_size=1, max_size=4) | st.lists(DATA, min_size=1, max_size=4))
def test_everything_is_read_back_the_same(data):
    assert reader.safe_load(document(data)) == data


def test_it_is_written_for_people():
    data = {
        "users": ["default", {"name": "foobar", "groups": ["users", "cloud-users"], "lock_passwd": True}],
        "groups": [{"ubuntu": ["foo", "bar"]}, "cloud-users"],
        "write_files": [{"path": "/etc/motd", "content": "one\n\ntwo\n", "permissions": "0644"}],
        "runcmd": [["echo", "a: b"], "true"],
        "nothing": [],
    }
    assert document(data) == (
        "users:\n  - default\n  - name: foobar\n    groups:\n      - users\n      - cloud-users\n    lock_passwd: true\n"
        "groups:\n  - ubuntu:\n      - foo\n      - bar\n  - cloud-users\n"
        'write_files:\n  - path: /etc/motd\n    content: |\n      one\n\n      two\n    permissions: "0644"\n'
        'runcmd:\n  - - echo\n    - "a: b"\n  - "true"\nnothing: []\n'
    )
