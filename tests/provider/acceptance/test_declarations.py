"""Every resource of the provider has one declaration, and every attribute that can be set has a case."""

from tests.provider.acceptance.declaration import RESOURCES, Case, derived, settable
from tests.provider.acceptance.stories import STORIES, cases

DECLARED = [one for story in STORIES.values() for one in story]
CASES = [case for story in STORIES for case in cases(story)]


def test_every_resource_is_declared_once():
    assert sorted(one.type_name for one in DECLARED) == sorted(RESOURCES), "see declaration.py"


def test_every_attribute_has_a_case_and_every_case_an_attribute():
    missing = [
        f"{one.type_name}.{name}"
        for one in DECLARED
        for name, attribute in settable(one.type_name).items()
        if name not in one.changes and not derived(name, attribute)
    ]
    assert missing == [], "each needs a Change in its declaration: see declaration.py"
    unknown = [
        f"{one.type_name}.{name}"
        for one in DECLARED
        for name in (*one.changes, *one.wishes)
        if name not in settable(one.type_name)
    ]
    assert unknown == []


def test_every_case_changes_something():
    def idle(case: Case) -> bool:
        return case.action is not None and case.first.get(case.attribute) == case.second.get(case.attribute)

    assert [case.address for case in CASES if idle(case)] == []
    refused = [case for case in CASES if case.action == "refused"]
    assert [case.address for case in refused if not case.change.said] == [], "a refused one says what is told"
