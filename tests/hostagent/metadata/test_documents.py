"""What each dialect's paths say, and that every listing tells the truth."""

import json
from base64 import b64encode

import pytest

from hostagent.contract import HostError
from hostagent.metadata import Directory, Guest
from hostagent.metadata.documents import canonical
from tests.hostagent.metadata.guests import IP, KEYS, L3, OTHER_IP, USER_DATA, VM, instance, snapshot


def guest(ip: str = IP, **changes: object) -> Guest:
    return Directory(snapshot(**changes)).guests[L3][ip]


def read(path: str, of: Guest | None = None) -> bytes | None:
    return (of or guest()).documents.get(canonical(path))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/latest/meta-data/instance-id", "i-1"),
        ("/latest/meta-data/local-hostname", "web"),
        ("/latest/meta-data/hostname", "web"),
        ("/latest/meta-data/local-ipv4", IP),
        ("/latest/meta-data/vm-id", VM),
        ("/latest/meta-data/availability-zone", "north"),
        ("/latest/meta-data/service-offering", "small"),
        ("/latest/meta-data/public-keys", "\n".join(KEYS)),
        ("/2009-04-04/meta-data/instance-id", "i-1"),
        ("/1.0/meta-data/instance-type", "small"),
        ("/2021-03-23/meta-data/placement/availability-zone", "north"),
        ("/2009-04-04/meta-data/public-keys", "0=key-0\n1=key-1"),
        ("/latest/meta-data/public-keys/", "0=key-0\n1=key-1"),
        ("/latest/meta-data/public-keys/1/openssh-key", KEYS[1]),
        ("//latest//meta-data/instance-id?x=1", "i-1"),
        ("/latest/meta-data/network/interfaces/macs/fa:00:00:00:00:03/local-ipv4s", "192.168.9.5"),
        ("/latest/meta-data/network/interfaces/macs/fa:00:00:00:00:03/device-number", "1"),
        ("/openstack/", "latest"),
    ],
)
def test_leaves(path: str, text: str) -> None:
    assert read(path) == text.encode()


def test_user_data_is_served_byte_for_byte() -> None:
    for path in ("/latest/user-data", "/2009-04-04/user-data", "/openstack/latest/user_data"):
        assert read(path) == USER_DATA
    assert read("/latest/user-data", guest(OTHER_IP)) is None


def test_json_documents() -> None:
    identity = json.loads(read("/latest/dynamic/instance-identity/document") or b"")
    assert (identity["instanceId"], identity["privateIp"], identity["instanceType"]) == ("i-1", IP, "small")
    openstack = json.loads(read("/openstack/2015-10-15/meta_data.json") or b"")
    assert (openstack["uuid"], openstack["name"], openstack["public_keys"]["key-1"]) == ("i-1", "web", KEYS[1])


@pytest.mark.parametrize("root", ["/latest/", "/2009-04-04/", "/openstack/latest/"])
@pytest.mark.parametrize("ip", [IP, OTHER_IP])
def test_every_listing_leads_to_documents(root: str, ip: str) -> None:
    """A crawler that follows listings finds everything, and nothing that is not there."""
    tree = guest(ip).documents
    seen, waiting = set(), [root]
    while waiting:
        directory = waiting.pop()
        for name in (read(directory, guest(ip)) or b"").decode().splitlines():
            path = directory + (f"{name.partition('=')[0]}/" if "=" in name else name)
            assert canonical(path) in tree, path
            seen.add(canonical(path))
            if path.endswith("/"):
                waiting.append(path)
    leaves = {path for path in tree if path.startswith(canonical(root)) and path + "/" not in tree and path[-1] != "/"}
    hidden = "/latest/meta-data/public-keys"  # CloudStack's listing names the leaf, so not EC2's directory
    assert {path for path in leaves if not path.startswith(hidden)} <= seen


def test_a_guest_without_keys_lists_none() -> None:
    assert "public-keys" not in (read("/latest/meta-data/", guest(OTHER_IP)) or b"").decode()
    assert read("/latest/meta-data/public-keys", guest(OTHER_IP)) is None


def test_user_data_that_is_not_base64_is_refused() -> None:
    with pytest.raises(HostError, match="user_data_base64"):
        Directory(snapshot(user_data_base64="not base64!"))
    assert guest(user_data_base64=b64encode(b"").decode()).instance == instance(user_data_base64="")
