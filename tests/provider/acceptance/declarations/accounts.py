"""Accounts, their keys and quotas, and what is shared with them."""

from tests.provider.acceptance.declaration import Change, Declaration

A, B = "=steppe_account.a.uuid", "=steppe_account.b.uuid"
QUOTAS = (
    "vm.num", "vm.cpuNum", "vm.memorySize", "volume.data.num", "volume.capacity", "image.num", "image.size",
)  # fmt: skip
LAND = """
resource "steppe_account" "a" {
  name                = "a"
  password_wo         = "secret a"
  password_wo_version = 1
}
resource "steppe_account" "b" {
  name                = "b"
  password_wo         = "secret b"
  password_wo_version = 1
}
resource "steppe_instance_offering" "shared" {
  count       = 8
  name        = "shared ${count.index}"
  cpu_num     = 1
  memory_size = 64 * 1024 * 1024
}
"""


def _file(name: object) -> str:
    return f'=abspath("{name}.toml")'


ALL = [
    Declaration(
        "steppe_account",
        lambda n: {"name": f"team-{n}", "password_wo": "secret", "password_wo_version": 1},
        {
            "password_wo": Change("another", along={"password_wo_version": 2}),
            "password_wo_version": Change(3),
            "type": Change("SystemAdmin"),
        },
        wishes=frozenset({"password_wo", "password_wo_version"}),
    ),
    Declaration(
        "steppe_access_key",
        lambda n: {"credentials_file": _file(n)},
        {
            "account_uuid": Change(B, {"account_uuid": A}),
            "credentials_file": Change(_file("another"), action="replace"),
        },
        wishes=frozenset({"credentials_file"}),
    ),
    Declaration(
        "steppe_quota",
        lambda n: {"account_uuid": A, "name": QUOTAS[n], "value": 5},
        {"account_uuid": Change(B), "name": Change("snapshot.volume.num"), "value": Change(7)},
        identifier=lambda state: f"{state['account_uuid']}/{state['name']}",
        lost="update",  # a quota always exists
    ),
    Declaration(
        "steppe_resource_share",
        lambda n: {"resource_uuid": f"=steppe_instance_offering.shared[{n}].uuid", "account_uuids": [A]},
        {
            "resource_uuid": Change("=steppe_instance_offering.shared[7].uuid"),
            "account_uuids": [Change([A, B]), Change([B]), Change(None, {"to_public": True})],
        },
        identifier=lambda state: str(state["resource_uuid"]),
    ),
]
