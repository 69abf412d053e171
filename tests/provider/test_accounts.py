"""Accounts, their keys, quotas and shares through real terraform: what the state knows, and what it must not."""

import hashlib
import re
import stat

import pytest

from provider.client.access_key import AccessKey
from provider.client.credentials import read
from tests.provider.test_volume import block, said
from tools.dev.cloud import ROOT

pytestmark = pytest.mark.terraform
PASSWORD = "correct-horse"
EXAMPLE = (ROOT / "examples/tenants/main.tf").read_text().partition("\n}\n")[2]  # without the block `terraform`
OFFERING = block("instance_offering", {"name": "small", "cpu_num": 1, "memory_size": 512 << 20}, "small")


@pytest.fixture(autouse=True)
def there(steppe, monkeypatch):
    """A provider's paths are those of Terraform's directory; the one of the tests runs in this process."""
    monkeypatch.chdir(steppe.directory)


def account(name="blue", password=PASSWORD, version=1, **more):
    secret = {"password_wo": password, "password_wo_version": version} if password else {}
    return block("account", {"name": name} | secret | more)


def logs_in(cloud, name, password) -> bool:
    digest = hashlib.sha512(password.encode()).hexdigest()
    body = {"logInByAccount": {"accountName": name, "password": digest}}
    return cloud.client._transport.send("PUT", "/accounts/login", body, repeatable=True).status == 200


def opens(cloud, file) -> bool:
    """Whether what a credentials file holds opens the control plane."""
    told = read(file)
    key = AccessKey(str(told["access_key_id"]), str(told["access_key_secret"]))
    path = "/zones"
    return cloud.client._transport.send("GET", path, None, key.headers("GET", path), repeatable=True).status == 200


def test_an_account_changes_in_place_and_its_password_is_in_no_state(steppe, cloud):
    steppe.write(account())
    steppe.must_apply()
    assert steppe.plan() == {} and logs_in(cloud, "blue", PASSWORD)
    steppe.write(account("green", "battery-staple", description="Team green"))
    assert steppe.plan() == {"steppe_account.a": ["update"]}
    steppe.must_apply()
    assert logs_in(cloud, "green", PASSWORD), "the same version sends no password"
    steppe.write(account("green", "battery-staple", 2, description="Team green"))
    steppe.must_apply()
    assert steppe.plan() == {} and logs_in(cloud, "green", "battery-staple") and not logs_in(cloud, "green", PASSWORD)
    uuid = steppe.state()["steppe_account.a"]["uuid"]
    kept = (steppe.directory / "terraform.tfstate").read_text() + (steppe.directory / "planned").read_bytes().decode(
        "latin1"
    )
    assert PASSWORD not in kept and "battery-staple" not in kept
    (steppe.directory / "terraform.tfstate").unlink()
    steppe.write(account("green", "", description="Team green"))
    done = steppe.run("import", "-no-color", "steppe_account.a", uuid)
    assert done.succeeded, done.output
    assert steppe.plan() == {}
    steppe.write(account("green", "battery-staple", 3, type="SystemAdmin"))
    assert steppe.plan() == {"steppe_account.a": ["delete", "create"]}
    assert steppe.destroy().succeeded
    assert cloud.client.query("accounts", name="green") == []


def test_what_is_wrong_with_an_account_is_said(steppe, cloud):
    steppe.write(account(password=""))
    assert "A new account needs a password" in said(steppe.apply())
    steppe.write(account().replace("  password_wo_version = 1\n", ""))
    assert "password_wo and password_wo_version belong together" in said(steppe.apply())
    steppe.write(account(name="admin"))
    text = said(steppe.apply())
    assert "there is an account 'admin' already" in text and 'name = "admin"' in text


def test_a_key_opens_the_door_from_its_file_and_from_nowhere_else(steppe, cloud):
    key = {"account_uuid": "=steppe_account.a.uuid", "credentials_file": "key.toml"}
    steppe.write(account() + block("access_key", key))
    steppe.must_apply()
    assert steppe.plan() == {}
    file = steppe.directory / "key.toml"
    secret = str(read(file)["access_key_secret"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and opens(cloud, file)
    state = steppe.state()["steppe_access_key.a"]
    assert state["access_key_id"] == read(file)["access_key_id"] and state["state"] == "Enabled"
    assert secret not in (steppe.directory / "terraform.tfstate").read_text()

    steppe.write(account() + block("access_key", key | {"state": "Disabled"}))
    assert steppe.plan() == {"steppe_access_key.a": ["update"]}
    steppe.must_apply()
    assert steppe.plan() == {} and not opens(cloud, file)

    other = key | {"state": "Enabled", "credentials_file": "other.toml"}
    steppe.write(account() + block("access_key", other))
    assert steppe.plan() == {"steppe_access_key.a": ["delete", "create"]}
    steppe.must_apply()
    assert not file.exists() and opens(cloud, steppe.directory / "other.toml")

    uuid, account_uuid = (steppe.state()[f"steppe_{one}.a"]["uuid"] for one in ("access_key", "account"))
    cloud.client.delete("DeleteAccessKey", f"/accesskeys/{uuid}", timeout=30)
    steppe.write(account() + block("access_key", other))
    assert steppe.plan() == {"steppe_access_key.a": ["create"]}
    text = said(steppe.apply())
    assert "The credentials file exists" in text and 'credentials_file = "other.toml"' in text
    (steppe.directory / "other.toml").unlink()
    steppe.write(account() + block("access_key", other | {"credentials_file": "nowhere/other.toml"}))
    assert "No such file or directory" in said(steppe.apply())
    assert cloud.client.query("accesskeys", accountUuid=account_uuid) == [], "a key whose secret is lost does not stay"


def test_an_imported_key_has_no_file_and_needs_no_change(steppe, cloud):
    made = cloud.client.create("CreateAccessKey", "/accesskeys", {"description": "by hand"}, timeout=30)
    steppe.write(block("access_key", {"description": "by hand", "credentials_file": "key.toml"}))
    done = steppe.run("import", "-no-color", "steppe_access_key.a", made["uuid"])
    assert done.succeeded, done.output
    assert steppe.plan() == {"steppe_access_key.a": ["update"]}
    done = steppe.apply()
    assert done.succeeded and "of an imported key no file" in done.output
    assert steppe.plan() == {} and not (steppe.directory / "key.toml").exists()


def test_a_quota_changes_in_place_and_is_reset_in_the_end(steppe, cloud):
    quota = {"account_uuid": "=steppe_account.a.uuid", "name": "vm.num", "value": 3}
    steppe.write(account() + block("quota", quota))
    steppe.must_apply()
    assert steppe.plan() == {}
    uuid = steppe.state()["steppe_account.a"]["uuid"]

    def now():
        return cloud.only("accounts/quotas", identityUuid=uuid, name="vm.num")["value"]

    assert now() == 3
    steppe.write(account() + block("quota", quota | {"value": 5}))
    assert steppe.plan() == {"steppe_quota.a": ["update"]}
    steppe.must_apply()
    assert (steppe.plan(), now()) == ({}, 5)
    cloud.client.action(
        "/accounts/quotas", "updateQuota", {"identityUuid": uuid, "name": "vm.num", "value": 1}, timeout=30
    )
    assert steppe.plan() == {"steppe_quota.a": ["update"]}
    steppe.must_apply()
    done = steppe.run("state", "rm", "steppe_quota.a")
    assert done.succeeded and not steppe.run("import", "steppe_quota.a", uuid).succeeded
    done = steppe.run("import", "-no-color", "steppe_quota.a", f"{uuid}/vm.num")
    assert done.succeeded, done.output
    assert steppe.plan() == {}
    steppe.write(account())
    steppe.must_apply()
    assert now() == 20
    admin = cloud.only("accounts", name="admin")["uuid"]
    steppe.write(account() + block("quota", quota | {"account_uuid": admin}))
    text = said(steppe.apply())
    assert "is an administrator and has no quota" in text and "account_uuid = " in text


def test_a_share_is_brought_to_what_is_declared(steppe, cloud):
    two = account() + block("account", {"name": "red", "password_wo": "x", "password_wo_version": 1}, "b")
    uuid = "=steppe_instance_offering.small.uuid"

    def share(**with_whom):
        return two + OFFERING + block("resource_share", {"resource_uuid": uuid} | with_whom)

    def now():
        found = cloud.client.query("accounts/resources")
        return sorted(str(one.get("receiverAccountUuid")) for one in found)

    steppe.write(share(account_uuids="=[steppe_account.a.uuid]"))
    steppe.must_apply()
    assert steppe.plan() == {}
    accounts = [steppe.state()[f"steppe_account.{one}"]["uuid"] for one in "ab"]
    state = steppe.state()["steppe_resource_share.a"]
    assert now() == accounts[:1] and state["resource_type"] == "InstanceOfferingVO" and not state["to_public"]
    steppe.write(share(account_uuids="=[steppe_account.b.uuid]", to_public=True))
    assert steppe.plan() == {"steppe_resource_share.a": ["update"]}
    steppe.must_apply()
    assert steppe.plan() == {} and now() == sorted([accounts[1], "None"])
    steppe.write(share(account_uuids="=[steppe_account.a.uuid, steppe_account.b.uuid]"))
    steppe.must_apply()
    assert steppe.plan() == {} and now() == sorted(accounts)

    shared = steppe.state()["steppe_resource_share.a"]["resource_uuid"]
    asked = {"resourceUuids": [shared], "accountUuids": [accounts[0]]}
    cloud.client.action("/accounts/resources", "revokeResourceSharing", asked, timeout=30)
    assert steppe.plan() == {"steppe_resource_share.a": ["update"]}
    steppe.must_apply()
    assert steppe.run("state", "rm", "steppe_resource_share.a").succeeded
    steppe.write(share(account_uuids="=[steppe_account.a.uuid]"))
    assert "The resource is shared already" in said(steppe.apply())
    done = steppe.run("import", "-no-color", "steppe_resource_share.a", shared)
    assert done.succeeded, done.output
    assert steppe.plan() == {"steppe_resource_share.a": ["update"]}
    steppe.write(two + OFFERING)
    steppe.must_apply()
    assert now() == []
    steppe.write(share())
    assert "With whom?" in said(steppe.apply())
    steppe.write("")


# Looks with the team's eyes, by a key that is gone when the command ends.
EYES = """
provider "steppe" {
  alias             = "team"
  access_key_id     = ephemeral.steppe_access_key.team.access_key_id
  access_key_secret = ephemeral.steppe_access_key.team.access_key_secret
}
data "steppe_instance_offerings" "seen" {
  provider   = steppe.team
  depends_on = [steppe_resource_share.small]
}
"""


def test_the_example_and_a_key_for_one_command(steppe, cloud, monkeypatch):
    monkeypatch.setenv("TF_VAR_password", PASSWORD)
    steppe.write(EXAMPLE)
    steppe.must_apply()
    assert steppe.plan() == {}
    uuid = steppe.state()["steppe_account.team"]["uuid"]
    assert len(cloud.client.query("accesskeys", accountUuid=uuid)) == 1, "the ephemeral key is gone"
    said_ = steppe.run("output", "-no-color").output
    assert re.search(r'"vm.cpuNum" += 16\n', said_) and uuid in said_ and logs_in(cloud, "blue", PASSWORD)
    entries = steppe.state()["data.steppe_global_configs.sessions"]["global_configs"]
    assert "session.timeout" in {one["name"] for one in entries}
