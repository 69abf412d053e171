"""The protocol and the plan algorithm through real terraform, with a provider of one resource."""

import pytest

from tests.provider.toy import Toy

pytestmark = pytest.mark.terraform


@pytest.fixture
def toy(serve):
    provider = Toy()
    terraform = serve(provider, "toy", "terraform.local/test/toy")
    return provider.thing, terraform


FULL = """
resource "toy_thing" "a" {
  name    = "one"
  place   = "here"
  ratio   = 0.1
  words   = ["b", "a"]
  tags    = ["y", "x"]
  labels  = { k = "v" }
  parts   = [{ size = 1, fixed = "f" }, { size = 2, kind = "odd" }]
  by_name = { left = { n = 5 } }
  members = [{ who = "z" }, { who = "a" }]
  secret  = "hush"
}
"""


def test_create_keeps_what_was_written_and_the_next_plan_is_empty(toy):
    thing, terraform = toy
    terraform.write(FULL)
    terraform.must_apply()
    state = terraform.state()["toy_thing.a"]
    assert state["level"] == 3 and state["flag"] is True and state["ratio"] == 0.1
    assert state["words"] == ["b", "a"] and sorted(state["tags"]) == ["x", "y"]
    assert state["parts"][0] == {"size": 1, "kind": "plain", "fixed": "f", "serial": "s0"}
    assert state["parts"][1]["kind"] == "odd" and state["by_name"]["left"] == {"n": 5, "got": 5}
    assert state["secret"] is None and thing.seen_secrets == ["hush"]
    assert "hush" not in (terraform.directory / "terraform.tfstate").read_text()
    assert terraform.plan() == {}


def test_update_in_place_keeps_computed_values_and_marks_the_volatile_ones(toy):
    _, terraform = toy
    terraform.write(FULL)
    terraform.must_apply()
    terraform.write(FULL.replace('"one"', '"two"'))
    assert terraform.plan() == {"toy_thing.a": ["update"]}
    unknown = terraform.planned("toy_thing.a")["after_unknown"]
    assert unknown["revision"] is True and "id" not in unknown and "guessed" not in unknown
    terraform.must_apply()
    assert terraform.state()["toy_thing.a"]["revision"] == 2
    assert terraform.plan() == {}


def test_a_nested_change_replaces_and_names_its_path(toy):
    _, terraform = toy
    terraform.write(FULL)
    terraform.must_apply()
    terraform.write(FULL.replace('fixed = "f"', 'fixed = "g"'))
    assert terraform.plan() == {"toy_thing.a": ["delete", "create"]}
    assert terraform.planned("toy_thing.a")["replace_paths"] == [["parts", 0, "fixed"]]
    terraform.must_apply()
    assert terraform.plan() == {}


def test_removing_an_attribute_takes_its_default_again(toy):
    _, terraform = toy
    terraform.write('resource "toy_thing" "a" {\n name = "a"\n level = 7\n guessed = "mine"\n}')
    terraform.must_apply()
    terraform.write('resource "toy_thing" "a" {\n name = "a"\n}')
    assert terraform.plan() == {"toy_thing.a": ["update"]}
    terraform.must_apply()
    state = terraform.state()["toy_thing.a"]
    assert state["level"] == 3 and state["guessed"] == "mine"


def test_unknown_values_plain_and_refined_pass_through(toy):
    _, terraform = toy
    terraform.write(
        'resource "toy_thing" "a" { name = "a" }\n'
        'resource "toy_thing" "b" {\n name = "b"\n place = toy_thing.a.id\n tags = [toy_thing.a.id]\n'
        ' guessed = "x-${replace(toy_thing.a.id, "id", "n")}"\n parts = [{ size = toy_thing.a.revision }]\n}'
    )
    terraform.must_apply()
    state = terraform.state()["toy_thing.b"]
    assert state["place"] == "id-0" and state["guessed"] == "x-n-0" and state["parts"][0]["size"] == 1
    assert terraform.plan() == {}


def test_errors_of_validation_name_the_attribute(toy):
    _, terraform = toy
    terraform.write(
        'resource "toy_thing" "a" {\n  name = "much too long"\n  words = ["a", "c"]\n  parts = [{ size = 1 }, { size = 12 }]\n}'
    )
    complaints = terraform.complaints()
    assert {line.split("=")[0].strip() for _, _, line in complaints} == {"name", "words", "parts"}
    assert ("Invalid parts[1].size", "12 is not between 1 and 9.") in [complaint[:2] for complaint in complaints]


def test_a_misspelt_attribute_is_refused_with_its_line(toy):
    _, terraform = toy
    terraform.write('resource "toy_thing" "a" {\n  name = "a"\n  plaec = "x"\n}')
    (complaint,) = terraform.complaints()
    assert "plaec" in complaint[1] and complaint[2].startswith("plaec")


def test_what_vanished_is_created_again(toy):
    thing, terraform = toy
    terraform.write('resource "toy_thing" "a" { name = "a" }')
    terraform.must_apply()
    thing.store.clear()
    assert terraform.plan() == {"toy_thing.a": ["create"]}


def test_import_and_then_nothing_to_do(toy):
    _, terraform = toy
    terraform.write(FULL)
    terraform.must_apply()
    (terraform.directory / "terraform.tfstate").unlink()
    done = terraform.run("import", "-no-color", "toy_thing.a", "id-0")
    assert done.succeeded, done.output
    assert terraform.plan() == {}
    absent = terraform.run("import", "-no-color", "toy_thing.b", "id-9")
    assert not absent.succeeded


def test_a_failed_create_leaves_no_state_and_a_partial_one_is_kept_as_tainted(toy):
    _, terraform = toy
    terraform.write('resource "toy_thing" "a" {\n  name = "refused"\n  place = "nowhere"\n}')
    failed = terraform.apply()
    assert not failed.succeeded and "No such place" in failed.output and "on main.tf line" in failed.output
    assert terraform.state() == {}
    terraform.write('resource "toy_thing" "a" { name = "half" }')
    assert not terraform.apply().succeeded
    assert terraform.state()["toy_thing.a"]["id"] == "half"


def test_a_surprise_becomes_a_diagnostic_with_the_address(toy):
    _, terraform = toy
    terraform.write('resource "toy_thing" "a" { name = "broken" }')
    failed = terraform.apply()
    assert "RuntimeError: a surprise" in failed.output and "toy_thing.a" in failed.output


def test_ctrl_c_reaches_the_resource(toy):
    thing, terraform = toy
    terraform.write('resource "toy_thing" "a" { name = "slow" }')
    stopped = terraform.interrupt(["apply", "-auto-approve", "-no-color"], thing.started.is_set)
    assert stopped.status == 1 and "Stopped on request" in stopped.output
    assert terraform.state() == {}


def test_private_data_reaches_the_apply(toy):
    thing, terraform = toy
    terraform.write('resource "toy_thing" "a" { name = "a" }')
    terraform.plan()
    done = terraform.run("apply", "-no-color", "planned")
    assert done.succeeded, done.output
    # Terraform plans once more at apply, and that plan's private data counts: no place for an idempotency key.
    assert thing.planned_private == [{"key": "key-0"}, {"key": "key-1"}]
    assert thing.seen_private == [{"key": "key-1"}]


def test_data_source_and_a_refused_provider_configuration(toy):
    _, terraform = toy
    terraform.write('data "toy_echo" "e" { say = "hey" }\noutput "o" { value = data.toy_echo.e.heard }')
    terraform.must_apply()
    assert '"HEY"' in terraform.run("output").output
    terraform.write('provider "toy" {\n  greeting = "rude"\n}\ndata "toy_echo" "e" { say = "hey" }')
    refused = terraform.apply()
    assert "be nice" in refused.output and "on main.tf line" in refused.output


def test_five_mebibytes_in_one_attribute(toy):
    _, terraform = toy
    (terraform.directory / "big.txt").write_text("x" * (5 << 20))
    terraform.write('resource "toy_thing" "a" {\n name = "a"\n place = file("big.txt")\n}')
    terraform.must_apply()
    assert len(terraform.state()["toy_thing.a"]["place"]) == 5 << 20


def test_an_ephemeral_resource_is_opened_closed_and_in_no_state(serve):
    provider = Toy()
    terraform = serve(provider, "toy", "terraform.local/test/toy")
    (ticket,) = provider.ephemeral_resources
    used = 'ephemeral "toy_ticket" "t" {\n  who = "%s"\n}\nresource "toy_thing" "a" {\n  name = "one"\n'
    used += "  secret = ephemeral.toy_ticket.t.token\n}\n"
    terraform.write(used % "me")
    terraform.must_apply()
    assert len(ticket.all) == 2  # for the plan, and for the apply
    assert ticket.open_ones == set()
    assert provider.thing.seen_secrets == [ticket.all[-1]]
    assert ticket.all[-1] not in (terraform.directory / "terraform.tfstate").read_text()
    terraform.write(used % "nobody")
    refused = terraform.run("plan", "-no-color")
    assert not refused.succeeded
    assert "nobody gets none" in refused.output
    terraform.write(used % "far too long")
    assert [summary for summary, _, _ in terraform.complaints()] == ["Invalid who"]
    terraform.write(used % "me")
    assert terraform.destroy().succeeded
