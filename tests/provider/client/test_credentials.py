"""Where a log-in comes from, the credentials file that others must not read, and the signature of an access key."""

import base64
import hashlib
import hmac

import pytest

from provider.client.access_key import AccessKey
from provider.client.credentials import settle
from provider.framework.diagnostics import Refused

BLOCK = {"endpoint": "http://block", "password": "b"}
AROUND = {"STEPPE_ENDPOINT": "http://around", "STEPPE_ACCESS_KEY_ID": "id", "STEPPE_ACCESS_KEY_SECRET": "s"}


@pytest.fixture
def file(tmp_path):
    def write(text: str, mode: int = 0o600) -> str:
        path = tmp_path / "credentials"
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    return write


def test_the_block_wins_over_the_environment_and_that_over_the_file(file):
    path = file('endpoint = "http://file"\npassword = "f"\naccount_name = "me"\n')
    assert settle(BLOCK | {"credentials_file": path}, AROUND)["password"] == "b"
    mixed = settle({}, AROUND | {"STEPPE_CREDENTIALS_FILE": path})
    assert (mixed["endpoint"], mixed["access_key_id"], mixed["password"]) == ("http://around", "id", None)
    assert mixed["account_name"] == "me"
    alone = settle({"credentials_file": path}, {})
    assert (alone["endpoint"], alone["password"], alone["account_name"]) == ("http://file", "f", "me")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620, 0o604])
def test_a_file_that_others_may_read_is_refused(file, mode):
    with pytest.raises(Refused, match=f"0{mode:o}.*chmod 600"):
        settle({"credentials_file": file('password = "f"', mode)}, {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('pasword = "hush"', "pasword is unknown"),
        ("password = 1", "password is not a text"),
        ('password = "hush', "a mistake at end of document"),
        ('password = hush"', "a mistake at line 1, column 12"),
    ],
)
def test_a_mistake_in_the_file_is_told_without_its_content(file, text, said):
    with pytest.raises(Refused, match=said) as refused:
        settle({"credentials_file": file(text)}, {})
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    ("config", "environment", "said"),
    [
        ({}, {}, "endpoint is missing"),
        ({"endpoint": "e"}, {}, "password is missing"),
        ({"endpoint": "e", "access_key_id": "i"}, {}, "access_key_secret is missing"),
        ({"endpoint": "e", "access_key_secret": "i"}, {}, "access_key_id is missing"),
        (BLOCK | {"access_key_id": "i", "access_key_secret": "s"}, {}, "exclude each other"),
        ({"credentials_file": "/nowhere/at/all"}, {}, "No such file"),
    ],
)
def test_what_does_not_suffice_is_refused(config, environment, said):
    with pytest.raises(Refused, match=said):
        settle(config, environment)


def test_the_signature_is_that_of_the_documented_formula():
    key = AccessKey("the-id", "the-secret")
    headers = key.headers("GET", "/vm-instances?q=name=a", now=0.0)
    assert headers["Date"] == "Thu, 01 Jan 1970 00:00:00 GMT"
    text = b"GET\nThu, 01 Jan 1970 00:00:00 GMT\n/v1/vm-instances"
    wanted = base64.b64encode(hmac.digest(b"the-secret", text, hashlib.sha1)).decode()
    assert headers["Authorization"] == f"ZStack the-id:{wanted}"
    assert "the-secret" not in repr(key)
