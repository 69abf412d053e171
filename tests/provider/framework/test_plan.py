"""The plan algorithm, rule by rule."""

from provider.framework.plan import draft, replaced
from provider.framework.schema import Nested, Schema, computed, optional, required
from provider.framework.types import NUMBER, STRING, UNKNOWN, set_of

PART = Nested(
    "list",
    {"size": required(NUMBER, ""), "colour": optional(STRING, "", default="red"), "serial": computed(STRING, "")},
)
SCHEMA = Schema(
    {
        "uuid": computed(STRING, ""),
        "seen": computed(STRING, "", keep=False),
        "name": required(STRING, ""),
        "zone": optional(STRING, "", replace=True),
        "level": optional(NUMBER, "", default=3),
        "guess": optional(STRING, "", computed=True),
        "secret": optional(STRING, "", write_only=True),
        "tags": optional(set_of(STRING), "", replace=True),
        "parts": optional(PART, ""),
        "left": optional(Nested("single", {"kind": optional(STRING, "", replace=True)}), ""),
    }
)
NOTHING = dict.fromkeys(SCHEMA.attributes)


def config(**written):
    return NOTHING | {"name": "n"} | written


def created(**known):
    return NOTHING | {"name": "n", "uuid": "u", "seen": "s", "level": 3, "guess": "g"} | known


def test_a_create_takes_defaults_and_leaves_computed_values_open():
    planned = draft(SCHEMA, config(), None, config())
    assert planned["level"] == 3 and planned["name"] == "n" and planned["zone"] is None
    assert planned["uuid"] is planned["seen"] is planned["guess"] is UNKNOWN


def test_without_a_difference_the_plan_is_the_prior_state():
    prior = created()
    assert draft(SCHEMA, config(), prior, dict(prior)) == prior


def test_a_change_opens_only_what_does_not_stay():
    prior = created()
    planned = draft(SCHEMA, config(name="m"), prior, prior | {"name": "m"})
    assert planned["uuid"] == "u" and planned["seen"] is UNKNOWN and planned["guess"] is UNKNOWN


def test_a_removed_attribute_falls_back_to_its_default():
    prior = created(level=9)
    assert draft(SCHEMA, config(), prior, prior | {"level": None})["level"] == 3


def test_a_write_only_value_never_gets_into_the_plan():
    prior = created()
    assert draft(SCHEMA, config(secret="s"), None, config(secret="s"))["secret"] is None
    assert draft(SCHEMA, config(secret="s"), prior, prior | {"secret": "s"}) == prior


def test_nested_computed_values_are_carried_by_position_and_new_elements_are_open():
    before = {"size": 1, "colour": "red", "serial": "s0"}
    prior = created(parts=[before])
    written = [{"size": 1, "colour": None, "serial": None}, {"size": 2, "colour": "blue", "serial": None}]
    proposed = prior | {"parts": [before, written[1]]}
    planned = draft(SCHEMA, config(parts=written), prior, proposed)
    assert planned["parts"] == [before, {"size": 2, "colour": "blue", "serial": UNKNOWN}]


def test_the_prior_state_is_not_changed_by_planning():
    before = {"size": 1, "colour": "red", "serial": "s0"}
    prior = created(parts=[before])
    draft(SCHEMA, config(name="m", parts=[{"size": 1}]), prior, prior | {"name": "m"})
    assert prior == created(parts=[{"size": 1, "colour": "red", "serial": "s0"}])


def test_paths_that_need_a_new_resource():
    prior = created(zone="a", tags=["x"], left={"kind": "k"})
    same = dict(prior)
    assert replaced(SCHEMA.attributes, prior, same) == []
    assert replaced(SCHEMA.attributes, prior, same | {"zone": "b"}) == [("zone",)]
    assert replaced(SCHEMA.attributes, prior, same | {"zone": UNKNOWN}) == [("zone",)]
    assert replaced(SCHEMA.attributes, prior, same | {"left": {"kind": "l"}}) == [("left", "kind")]
    assert replaced(SCHEMA.attributes, prior, same | {"name": "m", "tags": None}) == [("tags",)]


def test_elements_that_are_not_known_yet_are_no_objects_to_look_into():
    prior = created(parts=[{"size": 1, "colour": "red", "serial": "s0"}])
    assert replaced(SCHEMA.attributes, prior, prior | {"parts": [UNKNOWN]}) == []
    fixed = {"parts": optional(Nested("list", {"kind": optional(STRING, "", replace=True)}), "")}
    before = {"parts": [{"kind": "k"}, None]}
    assert replaced(fixed, before, {"parts": [UNKNOWN, {"kind": "l"}]}) == [("parts", 0)]
