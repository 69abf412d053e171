"""`deletion_protection`: destroying and replacing are refused in the plan, and in an apply whose plan could not know."""

import pytest

from tests.provider.test_vm import hcl

pytestmark = pytest.mark.terraform


def said(run) -> str:
    assert not run.succeeded, run.output
    return " ".join(run.output.replace("│", " ").split())


@pytest.fixture
def protected(steppe, cloud, base):
    """(Terraform, the configuration of a protected VM); lifted in the end."""
    wished = base | {"deletion_protection": True}
    steppe.write(hcl(wished))
    steppe.must_apply()
    assert steppe.plan() == {}
    yield steppe, wished
    steppe.write(hcl(base))
    steppe.must_apply()


def test_destroying_is_refused_in_the_plan_and_how_to_lift_it_is_said(protected, cloud, base):
    steppe, _ = protected
    for words in (("plan", "-destroy", "-no-color"), ("apply", "-destroy", "-auto-approve", "-no-color")):
        text = said(steppe.run(*words))
        assert "steppe_vm vm is protected" in text
        assert "It would be destroyed, and deletion_protection is true: set deletion_protection = false" in text
    steppe.write("")  # taken out of the configuration
    assert "steppe_vm vm is protected" in said(steppe.run("plan", "-no-color"))
    assert cloud.only("vm-instances")["state"] == "Running"
    steppe.write(hcl(base))
    assert steppe.plan() == {"steppe_vm.a": ["update"]}
    steppe.must_apply()
    assert steppe.run("plan", "-destroy", "-no-color").succeeded


def test_replacing_is_refused_in_the_plan_and_names_the_change(protected, cloud, land):
    steppe, wished = protected
    other = {"image_uuid": land["steppe_image.b"]}
    steppe.write(hcl(wished | other))
    text = said(steppe.run("plan", "-no-color"))
    assert "A change of image_uuid needs a new one, and deletion_protection is true" in text
    steppe.write(hcl(wished | other | {"deletion_protection": False}))  # not before it is applied
    assert "steppe_vm vm is protected" in said(steppe.run("plan", "-no-color"))


def test_a_replacement_that_terraform_itself_decides_is_refused_in_the_apply(protected, cloud):
    steppe, _ = protected
    before = cloud.only("vm-instances")
    text = said(steppe.apply("-replace=steppe_vm.a"))
    assert "steppe_vm vm is protected" in text
    assert cloud.only("vm-instances") == before
    assert steppe.plan() == {}


def test_what_was_made_by_halves_is_not_protected(steppe, cloud, base):
    steppe.write(hcl(base | {"deletion_protection": True, "user_data": "  \n"}))
    assert "SYS.1007" in said(steppe.apply())
    assert steppe.state() == {} and cloud.client.query("vm-instances") == []
