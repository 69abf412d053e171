"""steppe_query, the plural data sources, and logging in by file and access key, at a real control plane."""

import json

import pytest

import controlplane.contract  # noqa: F401 (fills the registry)
from controlplane.contract.base import Query
from controlplane.contract.registry import apis
from provider.data_sources.query import COLLECTIONS
from provider.resources import ALL
from tests.provider.test_vm import KEYS, hcl, vms
from tools.dev.cloud import ROOT

pytestmark = pytest.mark.terraform


def test_the_collections_are_those_of_the_contract():
    routes = {name.removeprefix("Query"): one.route.path[1:] for name, one in apis.items() if issubclass(one, Query)}
    assert COLLECTIONS.items() <= routes.items()


def test_vms_by_name_pattern_and_condition(steppe, cloud, base):
    text = hcl(base | {"name": "web-1", "user_data": "a: b"}) + hcl(
        base | {"name": "web-2", "power_state": "stopped"}, "b"
    )
    text += hcl(base | {"name": "db"}, "c")
    steppe.write(text)
    steppe.must_apply()
    steppe.write(
        text
        + 'data "steppe_vms" "all" {}\n'
        + 'data "steppe_vms" "web" { name_pattern = "web-%" }\n'
        + 'data "steppe_vms" "one" { name = "db" }\n'
        + 'data "steppe_vms" "off" { conditions = ["state=Stopped", "name~=web%"] }\n'
        + 'data "steppe_query" "q" {\n resource = "QueryVmInstance"\n conditions = ["name~=web%"]\n fields = ["uuid", "name"]\n'
        + ' sort = "-name"\n limit = 1\n}\n'
        + 'data "steppe_query" "n" {\n resource = "VmInstanceVO"\n count_only = true\n}\n'
    )
    steppe.must_apply()
    assert steppe.plan() == {}
    state = steppe.state()
    names = {
        name: [one["name"] for one in state[f"data.steppe_vms.{name}"]["vms"]] for name in ("all", "web", "one", "off")
    }
    assert sorted(names["all"]) == ["db", "web-1", "web-2"] and sorted(names["web"]) == ["web-1", "web-2"]
    assert names["one"] == ["db"] and names["off"] == ["web-2"]
    (one,) = state["data.steppe_vms.one"]["vms"]
    assert one["nics"][0]["ip"] == one["ip"] == state["steppe_vm.c"]["ip"]
    query = state["data.steppe_query.q"]
    assert json.loads(query["json"]) == [{"name": "web-2", "uuid": state["steppe_vm.b"]["uuid"]}]
    assert query["uuids"] == [state["steppe_vm.b"]["uuid"]] and query["total"] == 2
    assert state["data.steppe_query.n"]["total"] == len(vms(cloud)) and state["data.steppe_query.n"]["uuids"] == []


def test_the_example(steppe, cloud, base):
    steppe.write(hcl(base | {"name": "tagged"}), "vm.tf")
    steppe.write("")
    steppe.must_apply()
    example = (ROOT / "examples" / "tags-and-queries" / "main.tf").read_text()
    (steppe.directory / "main.tf").write_text(example)
    steppe.environment |= {"TF_VAR_vm_name": "tagged", "TF_VAR_ssh_public_key": KEYS[0]}
    steppe.must_apply()
    assert steppe.plan() == {}
    state = steppe.state()
    assert [one["tag"] for one in state["data.steppe_system_tags.keys"]["system_tags"]] == [f"sshkey::{KEYS[0]}"]
    assert state["data.steppe_query.blue"]["uuids"] == [state["steppe_vm.a"]["uuid"]]


def test_every_plural_lists_what_the_singular_finds(steppe, land):
    """VMs and volumes have tests of their own."""
    kinds = [one.type_name for one in ALL if "name" in one.named and f"{one.type_name}.a" in land]
    text = 'data "steppe_system_tags" "t" { conditions = ["inherent=true"] }\n'
    for kind in kinds:
        text += f'data "{kind}" "a" {{ uuid = "{land[f"{kind}.a"]}" }}\n'
        text += f'data "{kind}s" "a" {{ name = data.{kind}.a.name }}\n'
    steppe.write(text)
    steppe.must_apply()
    state = steppe.state()
    for kind in kinds:
        assert state[f"data.{kind}s.a"][f"{kind.removeprefix('steppe_')}s"] == [state[f"data.{kind}.a"]], kind


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('data "steppe_query" "q" { resource = "Vm" }', "'Vm' cannot be queried; there are AccessKey"),
        ('data "steppe_vms" "q" { conditions = ["name"] }', "is not a condition"),
        ('data "steppe_vms" "q" { conditions = ["nmae=x"] }', "has no field 'nmae'"),
        ('data "steppe_query" "q" {\n resource = "Zone"\n fields = ["nmae"]\n}', "cannot take 'nmae'"),
    ],
)
def test_a_wrong_query_is_told(steppe, text, said):
    steppe.write(text)
    failed = steppe.apply()
    assert not failed.succeeded and said in " ".join(failed.output.replace("│", " ").split())


def test_logging_in_by_a_file(steppe, cloud, monkeypatch, tmp_path):
    path = tmp_path / "credentials"
    path.write_text(f'endpoint = "{cloud.endpoint}"\npassword = "{cloud.password}"\n')
    for name in cloud.environment:
        monkeypatch.delenv(name)
    steppe.write(f'provider "steppe" {{\n  credentials_file = "{path}"\n}}\ndata "steppe_zones" "z" {{}}\n')
    assert "open to others" in steppe.apply().output
    path.chmod(0o600)
    steppe.must_apply()


def test_logging_in_by_an_access_key(steppe, cloud, monkeypatch):
    account = cloud.only("accounts", name="admin")
    route = apis["CreateAccessKey"].route.path
    key = cloud.client.create("CreateAccessKey", route, {"accountUuid": account["uuid"]}, timeout=10)
    monkeypatch.delenv("STEPPE_PASSWORD")
    monkeypatch.setenv("STEPPE_ACCESS_KEY_ID", key["AccessKeyID"])
    monkeypatch.setenv("STEPPE_ACCESS_KEY_SECRET", key["AccessKeySecret"])
    steppe.write('resource "steppe_zone" "z" {\n  name = "z"\n}\n')
    steppe.must_apply()
    assert steppe.plan() == {}
    monkeypatch.setenv("STEPPE_ACCESS_KEY_SECRET", "mistaken")
    refused = steppe.run("plan", "-no-color")
    assert "refuses the login" in refused.output and "mistaken" not in refused.output
    monkeypatch.setenv("STEPPE_ACCESS_KEY_SECRET", key["AccessKeySecret"])
    assert steppe.destroy().succeeded
    cloud.client.delete("DeleteAccessKey", f"{route}/{key['uuid']}", timeout=10)
    (steppe.directory / "terraform.tfstate").unlink()
