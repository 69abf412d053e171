"""examples/fleet: fifty VMs by name on two simulated hosts; one name less is one VM less, and nothing else changes."""

import json
from pathlib import Path

import pytest
import yaml

from provider.client.transport import Transport
from tests.provider.test_vm import vms

pytestmark = [pytest.mark.terraform, pytest.mark.timeout(900)]
EXAMPLE = Path(__file__).parents[2] / "examples" / "fleet" / "main.tf"


def test_the_example(steppe, cloud, land, monkeypatch):
    (steppe.directory / "main.tf").write_text(EXAMPLE.read_text())
    steppe.environment |= {"TF_VAR_image": "image", "TF_VAR_network": "l3"}
    steppe.must_apply("-parallelism=50")
    sent, send = [], Transport.send
    monkeypatch.setattr(
        Transport, "send", lambda self, *words, **more: (sent.append(words[:2]), send(self, *words, **more))[1]
    )
    assert steppe.plan() == {}
    assert len(sent) < 50, "reads are gathered: it would take three for each VM"
    made = {one["name"]: one for one in vms(cloud)}
    assert sorted(made) == [f"node-{number:02}" for number in range(1, 51)]
    assert {one["state"] for one in made.values()} == {"Running"}
    assert len({one["vmNics"][0]["ip"] for one in made.values()}) == 50
    assert len({one["hostUuid"] for one in made.values()}) == 2, "on both hosts"
    config = yaml.safe_load(steppe.state()['steppe_vm.node["node-07"]']["user_data"])
    assert config["write_files"] == [{"path": "/etc/node", "content": "node-07 of 50\n"}]

    fewer = sorted(made.keys() - {"node-07"})
    steppe.environment |= {"TF_VAR_nodes": json.dumps(fewer)}
    actions = steppe.plan()
    assert actions.pop('steppe_vm.node["node-07"]') == ["delete"]
    assert set(map(tuple, actions.values())) == {("update",)} and len(actions) == 49, "their user data, in place"
    steppe.must_apply("-parallelism=50")
    after = {one["name"]: one for one in vms(cloud)}
    assert sorted(after) == fewer
    assert all(after[name]["uuid"] == made[name]["uuid"] for name in fewer)
