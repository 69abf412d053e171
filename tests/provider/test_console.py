"""A console through real terraform: its address as a data source, its ticket as an ephemeral resource."""

import pytest

from tests.provider.test_vm import hcl

pytestmark = pytest.mark.terraform
ADDRESS = 'data "steppe_console_address" "a" {\n  vm_uuid = steppe_vm.a.uuid\n}\n'
# A provisioner may have what no state may keep: it opens the page, which uses the ticket up.
TICKET = """
ephemeral "steppe_console_access" "a" {
  vm_uuid  = steppe_vm.a.uuid
  protocol = "vnc"
}
resource "terraform_data" "a" {
  provisioner "local-exec" {
    command     = "curl -sS --cacert '%s' -o /dev/null -o /dev/null -w '%%%%{http_code} ' \\"$URL\\" \\"$URL\\" >said"
    environment = { URL = ephemeral.steppe_console_access.a.url }
  }
}
"""


def test_the_address_of_a_running_vm(steppe, cloud, base):
    steppe.write(hcl(base | {"console_mode": "spice"}) + ADDRESS)
    steppe.must_apply()
    assert steppe.plan() == {}
    told = steppe.state()["data.steppe_console_address.a"]
    assert told["protocol"] == "spice" and told["host_ip"] in cloud.addresses and told["port"] >= 5900
    steppe.write(hcl(base | {"power_state": "stopped"}))
    steppe.must_apply()
    steppe.write(hcl(base | {"power_state": "stopped"}) + ADDRESS)
    done = steppe.run("plan", "-no-color")
    steppe.write(hcl(base))
    assert not done.succeeded
    assert "Stopped" in done.output


def test_a_ticket_opens_the_page_once_and_is_in_no_state(steppe, cloud, base):
    steppe.write(hcl(base) + TICKET % (cloud.state / "pki/ca.pem"))
    steppe.must_apply()
    assert (steppe.directory / "said").read_text().split() == ["303", "403"]
    assert steppe.plan() == {}
    text = (steppe.directory / "terraform.tfstate").read_text()
    assert "token=" not in text


def test_a_ticket_needs_a_running_vm(steppe, base):
    stopped = hcl(base | {"power_state": "stopped"})
    steppe.write(stopped + TICKET % "")
    done = steppe.apply()
    steppe.write(stopped)
    assert not done.succeeded
    assert "RequestConsoleAccess failed" in " ".join(done.output.split())
