"""The stack, tested where it runs: applied once for all tests, destroyed after the last.

pip install pytest-terraform
python main.py && pytest --tf-mod-dir cdktf.out/stacks
"""

import ipaddress

from pytest_terraform import terraform


@terraform("one-vm", scope="session", name="stack")
def test_the_vm_has_an_address(stack):
    assert ipaddress.ip_address(stack.outputs["ip"]["value"]).is_private
