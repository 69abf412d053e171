"""The generated story of each resource: made, changed attribute by attribute, imported, meddled with, lost, destroyed.

Every case is an instance of its own (declaration.py), and all cases of a story go through each phase together.
"""

import json
import os
import threading
from collections.abc import Container
from typing import Any

import pytest

from provider.framework.resource import Context
from tests.provider.acceptance.core import Core
from tests.provider.acceptance.declaration import Case, Declaration, Values, expression, settable
from tests.provider.acceptance.guesses import guess
from tests.provider.acceptance.land import land
from tests.provider.acceptance.stories import LANDS, STORIES, cases
from tests.provider.acceptance.unknown import all_unknown, plans_with_unknowns
from tests.provider.acceptance.world import world

pytestmark = [pytest.mark.terraform, pytest.mark.timeout(900)]
ACTIONS = {"update": ["update"], "replace": ["delete", "create"]}
MANY, ONE = "-parallelism=50", "-parallelism=1"
EXAMPLES = int(os.environ.get("STEPPE_EXAMPLES", "6"))  # of guesses, for each resource


class Story:
    """One working directory with one instance of each case."""

    def __init__(self, steppe: Any, cloud: Any, name: str) -> None:
        self.steppe, self.client, self.cases = steppe, cloud.client, cases(name)
        self.steppe.write(land(cloud, LANDS[name]))

    def write(self, changed: Container[str] = ()) -> None:
        """Instances at these addresses with their change, the others as they were made."""
        blocks = (one.block(one.second if one.address in changed else one.first) for one in self.cases)
        self.steppe.write("".join(blocks), "story.tf")

    def resolve(self) -> None:
        """Terraform itself tells what the expressions of the declarations mean."""
        told: dict[str, Values] = {}
        for one in self.cases:
            told[one.address] = {"first": bare(one.first), "second": bare(one.second)}
            if not one.attribute:
                told[one.of.type_name] = bare(one.of.sample(self.spare(one.of)))
        self.steppe.write(f'output "told" {{\n  value = {expression(told)}\n}}\n', "outputs.tf")

    def resolved(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.steppe.run("output", "-json", "told").output)
        return told

    def spare(self, declaration: Declaration) -> int:
        """A number that no case has."""
        return 1 + max(one.number for one in self.cases if one.of is declaration)

    def context(self, case: Case, planned: Values) -> Context:
        config = planned | {name: value for name, value in case.first.items() if value is not None}
        return Context(self.client, threading.Event(), config=config)

    def empty(self) -> None:
        """Nothing is left to do, whatever was done."""
        done = self.steppe.run("plan", "-detailed-exitcode", "-no-color", "-input=false", MANY)
        assert done.status == 0, done.output


def bare(values: Values) -> Values:
    return {name: value for name, value in values.items() if name != "depends_on"}


@pytest.mark.parametrize("name", STORIES)
def test_a_story(steppe, cloud, name):
    before = world(cloud)
    story = Story(steppe, cloud, name)
    made = create(story)
    unknown(story, made)
    guesses(story)
    refused(story)
    changed = change(story, made)
    imported(story)
    meddled(story, made, changed)
    done = steppe.destroy()
    assert done.succeeded, done.output
    assert world(cloud) == before


def create(story: Story) -> dict[str, Values]:
    story.write()
    story.resolve()
    story.steppe.must_apply(MANY)
    story.empty()
    state = story.steppe.state()
    return {case.address: state[case.address] for case in story.cases}


def unknown(story: Story, made: dict[str, Values]) -> None:
    """See unknown.py."""
    core, told = Core(), story.resolved()
    for case in story.cases:
        first, second = told[case.address]["first"], told[case.address]["second"]
        if case.attribute:
            plans_with_unknowns(core, case, first, second, made[case.address])
        else:
            all_unknown(core, case, first, made[case.address])


def guesses(story: Story) -> None:
    """See guesses.py."""
    core, told = Core(), story.resolved()
    for declaration in {case.of.type_name: case.of for case in story.cases}.values():
        changes = [
            {
                name: told[case.address]["second"].get(name)
                for name in (*case.change.before, case.attribute, *case.change.along)
            }
            for case in story.cases
            if case.of is declaration and case.attribute
        ]
        guess(core, declaration, told[declaration.type_name], changes, EXAMPLES)


def refused(story: Story) -> None:
    """Each refused change is an error of the plan that names its resource and its attribute."""
    wanted = {case.address: case for case in story.cases if case.action == "refused"}
    if not wanted:
        return
    story.write(wanted)
    done = story.steppe.run("plan", "-json", "-input=false", MANY)
    lines = [json.loads(line) for line in done.output.splitlines() if line.startswith("{")]
    errors = [one["diagnostic"] for one in lines if one["type"] == "diagnostic" and one["@level"] == "error"]
    told = {one["address"]: one for one in errors}
    assert told.keys() == wanted.keys()
    for address, case in wanted.items():
        text = " ".join(f"{told[address]['summary']} {told[address]['detail']}".split())
        assert case.change.said in text
        assert case.attribute in told[address]["snippet"]["code"]


def change(story: Story, made: dict[str, Values]) -> dict[str, Values]:
    """Each attribute alone: the planned action, what is blamed for a replacement, and that it holds."""
    planned = {case.address: case for case in story.cases if case.action in (*ACTIONS, "none")}
    moving = {address: case for address, case in planned.items() if case.change.applies}
    story.write(planned)
    actions = {case.address: ACTIONS[case.action] for case in planned.values() if case.action in ACTIONS}
    assert story.steppe.plan(MANY) == actions
    for address, case in planned.items():
        blamed = {path[0] for path in story.steppe.changes[address].get("replace_paths", [])}
        assert (case.attribute in blamed) == (case.action == "replace"), address
    story.write(moving)
    story.steppe.must_apply(MANY)
    story.empty()
    state = story.steppe.state()
    for case in (one for one in moving.values() if one.action in ACTIONS):
        was, is_ = made[case.address], state[case.address]
        assert case.action == "replace" or was.get("uuid") == is_.get("uuid"), case.address
        if not case.of.resource.schema.attributes[case.attribute].write_only:
            assert was[case.attribute] != is_[case.attribute], case.address
    return {case.address: state[case.address] for case in story.cases}


def imported(story: Story) -> None:
    """What only Terraform knows is written anew; nothing else is to be done."""
    state, steppe = story.steppe.state(), story.steppe
    removed = steppe.run("state", "rm", *(case.address for case in story.cases))
    assert removed.succeeded, removed.output
    blocks = (
        f"import {{\n  to = {case.address}\n  id = {json.dumps(case.of.identifier(state[case.address]))}\n}}\n"
        for case in story.cases
    )
    steppe.write("".join(blocks), "imports.tf")
    plan = steppe.plan(MANY)
    changes = steppe.changes
    anew = {case.address: differing(changes[case.address]) for case in story.cases}
    known = {case.address: case.of.unseen | set(case.change.forgotten) for case in story.cases}
    assert {address: sorted(names - known[address]) for address, names in anew.items() if names - known[address]} == {}
    assert all("importing" in changes[case.address] for case in story.cases)
    assert {actions[0] for actions in plan.values()} <= {"update"}
    assert plan.keys() <= {case.address for case in story.cases}
    steppe.must_apply(MANY)
    (steppe.directory / "imports.tf").unlink()
    story.empty()


def differing(change: Values) -> set[str]:
    before, after = change["before"], change["after"]
    return {name for name, value in after.items() if (value or None) != (before.get(name) or None)}


def meddled(story: Story, made: dict[str, Values], changed: dict[str, Values]) -> None:
    """Somebody else sets each attribute back to what it was, and deletes the samples: it is seen and repaired."""
    expected = {}
    drifted = {}
    now = story.steppe.state()
    for case in story.cases:
        prior, resource = now[case.address], case.of.resource
        if not case.attribute:
            resource.delete(story.context(case, prior), prior)
            expected[case.address] = [case.of.lost]
        elif case.drifts:
            was = made[case.address]
            # What followed from the change goes back with it.
            planned = prior | {name: was[name] for name in settable(case.of.type_name) if was[name] != prior[name]}
            resource.update(story.context(case, planned), prior, planned)
            expected[case.address] = ["update"]
            drifted[case.address] = case
    assert story.steppe.plan(MANY) == expected
    changes = story.steppe.changes
    for address, case in drifted.items():
        seen, wished = changes[address]["before"][case.attribute], changes[address]["after"][case.attribute]
        assert wished == changed[address][case.attribute] != seen, address
    story.steppe.must_apply(MANY)
    story.empty()
