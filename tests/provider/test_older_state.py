"""State of an older version of a resource's schema, left by real terraform with that version: upgraded version by version."""

import json
from typing import Any

import pytest

from provider.framework.plan import Object
from provider.framework.schema import Schema, computed, required
from provider.framework.types import NUMBER, STRING, list_of
from provider.main import Steppe
from tests.provider.toy import Thing, Toy

SOURCE = "terraform.local/test/toy"


class First(Thing):
    """`size` in megabytes as text, one `place`."""

    schema = Schema(
        {
            "id": computed(STRING, ""),
            "name": required(STRING, ""),
            "size": required(STRING, ""),
            "place": required(STRING, ""),
        }
    )

    def _finish(self, planned: Object, revision: int) -> Object:
        return dict(planned)

    def modify_plan(self, plan: Any) -> None:
        """As the schema says."""

    def create(self, context: Any, planned: Object) -> Object:
        state = planned | {"id": f"id-{len(self.store)}"}
        self.store[state["id"]] = state
        return state


class Third(First):
    """Since version 1 there are several places, since version 2 the size is a number of bytes."""

    schema = Schema(
        {
            "id": computed(STRING, ""),
            "name": required(STRING, ""),
            "bytes": required(NUMBER, ""),
            "places": required(list_of(STRING), "", replace=True),
        },
        version=2,
    )
    upgraders = {
        0: lambda state: {k: v for k, v in state.items() if k != "place"} | {"places": [state["place"]]},
        1: lambda state: {k: v for k, v in state.items() if k != "size"} | {"bytes": int(state["size"]) << 20},
    }


def provider(thing: Thing) -> Toy:
    toy = Toy()
    toy.thing = thing
    toy.resources = (thing,)
    return toy


@pytest.mark.terraform
def test_state_of_two_versions_ago_is_upgraded_and_nothing_is_to_do(serve):
    old, new = First(), Third()
    before = serve(provider(old), "toy", SOURCE)
    before.write('resource "toy_thing" "a" {\n  name  = "a"\n  size  = "3"\n  place = "here"\n}\n')
    before.must_apply()
    stored = json.loads((before.directory / "terraform.tfstate").read_text())
    assert [one["schema_version"] for one in stored["resources"][0]["instances"]] == [0]

    new.store = {uuid: new.upgraders[1](new.upgraders[0](one)) for uuid, one in old.store.items()}
    after = serve(provider(new), "toy", SOURCE)
    (before.directory / "terraform.tfstate").rename(after.directory / "terraform.tfstate")
    after.write('resource "toy_thing" "a" {\n  name   = "a"\n  bytes  = 3 * 1024 * 1024\n  places = ["here"]\n}\n')
    assert after.plan() == {}
    after.must_apply("-refresh-only")
    stored = json.loads((after.directory / "terraform.tfstate").read_text())
    (instance,) = stored["resources"][0]["instances"]
    assert instance["schema_version"] == 2
    assert instance["attributes"] == {"id": "id-0", "name": "a", "bytes": 3 << 20, "places": ["here"]}

    # The way back is refused by the older provider: nobody knows what the newer one meant.
    (after.directory / "terraform.tfstate").rename(before.directory / "terraform.tfstate")
    refused = before.run("plan", "-no-color")
    assert not refused.succeeded
    assert "created by a newer provider version" in " ".join(refused.output.replace("│", " ").split())


def test_every_resource_can_read_all_of_its_older_states():
    for one in Steppe.resources:
        assert one.upgraders.keys() == set(range(one.schema.version)), one.type_name
