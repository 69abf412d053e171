"""A whole cloud is brought under Terraform: import blocks for everything that exists, as examples/import-a-cloud does it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.provider.test_generated_configuration import cloud_in_use

__all__ = ["cloud_in_use"]
EXAMPLE = Path(__file__).parents[2] / "examples/import-a-cloud"
pytestmark = pytest.mark.terraform


def imports(*kinds, **settings):
    program = [sys.executable, "-m", "provider.main", "imports", *kinds]
    return subprocess.run(program, env=os.environ | settings, capture_output=True, text=True, timeout=60)


def test_everything_that_exists_is_imported_and_plans_empty(steppe, cloud_in_use):
    done = imports()
    assert (done.returncode, done.stderr) == (0, "")
    found = set(re.findall(r'id = "(.*)"', done.stdout))
    unasked = ("steppe_system_tag.", "steppe_global_config.", "steppe_quota.")
    expected = {
        one.get("uuid") or one["resource_uuid"]
        for address, one in cloud_in_use.items()
        if not address.startswith(unasked)
    }
    assert expected <= found
    (steppe.directory / "main.tf").write_text((EXAMPLE / "main.tf").read_text())
    (steppe.directory / "imports.tf").write_text(done.stdout)
    planned = steppe.run("plan", "-no-color", "-input=false", "-generate-config-out=generated.tf")
    assert planned.succeeded, planned.output
    blocks = done.stdout.count("import {")
    assert f"{blocks} to import, 0 to add, 0 to change, 0 to destroy" in planned.output
    steppe.must_apply()
    (steppe.directory / "imports.tf").unlink()
    assert steppe.plan() == {}


def test_names_become_labels_and_kinds_can_be_chosen(steppe, cloud):
    for name in ("blue 1", "blue 1", "7 of 9", "ünder"):
        cloud.client.create("CreateZone", "/zones", {"name": name}, timeout=30)
    text = imports("steppe_zone").stdout
    labels = re.findall(r"to = steppe_zone\.(\S+)", text)
    assert set(labels) >= {"blue_1", "_7_of_9", "nder"} and len(set(labels)) == len(labels)
    for zone in cloud.client.query("zones"):
        cloud.client.delete("DeleteZone", f"/zones/{zone['uuid']}", timeout=30)
    assert imports("steppe_zone").stdout == ""


def test_what_is_wrong_is_said(steppe):
    unknown = imports("steppe_foo")
    assert (unknown.returncode, unknown.stdout) == (1, "") and "there is no steppe_foo; there are" in unknown.stderr
    refused = imports(STEPPE_PASSWORD="wrong")
    assert refused.returncode == 1 and "refuses the login" in refused.stderr
