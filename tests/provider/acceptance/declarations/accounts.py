"""Accounts, their keys and quotas, and what is shared with them."""

from provider.resources.quota import NAMES
from tests.provider.acceptance.declaration import Change, Declaration

LAND = """
resource "steppe_account" "of" {
  count               = 2
  name                = "account of ${count.index}"
  password_wo         = "correct-horse"
  password_wo_version = 1
}
resource "steppe_disk_offering" "shared" {
  count     = 8
  name      = "shared ${count.index}"
  disk_size = 1024 * 1024
}
"""
ONE, OTHER = "=steppe_account.of[0].uuid", "=steppe_account.of[1].uuid"


def _key_file(name: str) -> str:
    return f'="${{abspath(path.root)}}/{name}.toml"'


ALL = [
    Declaration(
        "steppe_account",
        lambda n: {"name": f"account-{n}", "password_wo": "correct-horse", "password_wo_version": 1},
        {
            "password_wo": Change("battery-staple", along={"password_wo_version": 2}),
            "password_wo_version": Change(3),
            "type": Change("SystemAdmin"),
        },
        wishes=frozenset({"password_wo", "password_wo_version"}),
    ),
    Declaration(
        "steppe_access_key",
        lambda n: {"account_uuid": ONE, "credentials_file": _key_file(f"key-{n}")},
        {"account_uuid": Change(OTHER), "credentials_file": Change(_key_file("another"), action="replace")},
        wishes=frozenset({"credentials_file"}),
    ),
    Declaration(
        "steppe_quota",
        lambda n: {"account_uuid": ONE, "name": NAMES[n], "value": 5},
        {"account_uuid": Change(OTHER), "name": Change("image.size"), "value": Change(7)},
        identifier=lambda state: f"{state['account_uuid']}/{state['name']}",
        lost="update",  # a quota always exists
    ),
    Declaration(
        "steppe_resource_share",
        lambda n: {"resource_uuid": f"=steppe_disk_offering.shared[{n}].uuid", "account_uuids": [ONE]},
        {
            "resource_uuid": Change("=steppe_disk_offering.shared[7].uuid"),
            "account_uuids": [Change([OTHER]), Change(None, {"to_public": True})],
        },
        identifier=lambda state: str(state["resource_uuid"]),
    ),
]
