"""The provider's functions, called by real terraform."""

import json

import pytest
import yaml

from controlplane.rules.user_data import plain
from provider.framework.function import Wrong
from provider.functions import ALL
from provider.functions.cloud_config import LONGEST, CloudConfig
from provider.functions.minify import Minify
from provider.main import Steppe

NOTES = "groups:\n  - ubuntu: [foo,bar]\n\n# Users are added after groups.\nusers:\n  - default\n"


@pytest.fixture
def outputs(serve):
    """Terraform's answer to expressions, by name; a refusal as text. No control plane is asked."""
    terraform = serve(Steppe())

    def ask(**expressions):
        terraform.write(
            "".join(f"output {json.dumps(name)} {{\n  value = {one}\n}}\n" for name, one in expressions.items())
        )
        done = terraform.apply()
        if not done.succeeded:
            return " ".join(done.output.replace("│", " ").split())
        return {name: one["value"] for name, one in json.loads(terraform.run("output", "-json").output).items()}

    return ask


@pytest.mark.terraform
def test_terraform_calls_them(outputs):
    config = """provider::steppe::cloud_config({
      users = ["default", { name = "foobar", groups = toset(["b", "a"]), sudo = null, uid = 1000, ratio = 0.1 }]
      groups = tolist(["cloud-users"])
      write_files = [{ path = "/etc/motd", content = "a\\nb\\n" }]
    })"""
    for one in ALL:
        example = one.example.replace('file("user-data.yaml")', json.dumps(NOTES))
        assert "example" in outputs(example=example), "of the documentation"
    found = outputs(config=config, minified=f"provider::steppe::minify({json.dumps(NOTES)})")
    assert found["config"].startswith("#cloud-config\n")
    assert yaml.safe_load(found["config"]) == {
        "groups": ["cloud-users"],
        "users": ["default", {"groups": ["a", "b"], "name": "foobar", "ratio": 0.1, "uid": 1000}],
        "write_files": [{"content": "a\nb\n", "path": "/etc/motd"}],
    }
    assert (
        found["minified"] == r"groups:\n  - ubuntu: [foo,bar]\n\n# Users are added after groups.\nusers:\n  - default"
    )
    assert plain(found["minified"]).decode() + "\n" == NOTES, "the control plane reads it as it was meant"


@pytest.mark.terraform
def test_terraform_shows_what_is_wrong_at_the_argument(outputs):
    said = outputs(bad='provider::steppe::cloud_config({ users = [{ name = "Foo" }] })')
    assert "Invalid value for \"config\" parameter: users[0]: 'Foo': a name has 1 to 32 of a-z" in said
    said = outputs(bad="provider::steppe::minify(\"a\\nprintf '\\\\n'\")")
    assert 'Invalid value for "text" parameter: line 2 holds the two characters \\n already' in said


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ("text", "an object with at least one key of cloud-init is needed"),
        ({}, "an object with at least one key of cloud-init is needed"),
        ({"packages": "nginx"}, "packages must be a list"),
        ({"runcmd": {"a": 1}, "packages": 1}, "packages must be a list; runcmd must be a list"),
        ({"users": [1]}, "users[0] must be an object with a name, or a name"),
        ({"users": [{}]}, "users[0] needs a name"),
        ({"users": ["a", {"name": "a"}]}, "user 'a' is there twice"),
        ({"groups": ["ok", {"1st": ["a"]}]}, "groups[1]: '1st': a name has 1 to 32 of a-z, 0-9, _ and -"),
        ({"write_files": [{"path": "motd"}]}, "write_files[0] needs an absolute path"),
        ({"final_message": "x" * LONGEST}, "bytes; at most"),
    ],
)
def test_cloud_config_refuses_what_no_guest_could_use(config, complaint):
    with pytest.raises(Wrong) as refused:
        CloudConfig().call([config])
    assert complaint in str(refused.value) and refused.value.argument == 0


def test_cloud_config_takes_every_form_that_cloud_init_takes():
    for config in (
        {"users": {"default": "ubuntu"}, "groups": "a,b"},
        {"groups": {"ubuntu": ["a"]}, "users": None},
        {"users": [{"snapuser": "ada"}, "default"], "timezone": "Europe/Berlin"},
    ):
        text = CloudConfig().call([config])
        assert yaml.safe_load(text) == {key: value for key, value in config.items() if value is not None}


def test_minify_is_what_the_notes_do_with_sed():
    assert Minify().call(["a\nb\n\nc"]) == r"a\nb\n\nc"
    assert Minify().call(["one"]) == "one" and Minify().call([""]) == ""


def test_every_function_is_described():
    for one in ALL:
        assert one.summary.endswith(".") and one.description.endswith(".")
        assert all(parameter.description.endswith(".") for parameter in one.parameters)
