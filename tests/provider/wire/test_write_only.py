"""What is secret and comes from the user is in no state: it is write-only, and sent again when its version changes."""

from provider.framework.types import UNKNOWN
from provider.main import Steppe
from provider.wire import tfplugin6_pb2 as pb
from tests.provider.wire.core import Core, given, told

VM = next(one for one in Steppe.resources if one.type_name == "steppe_vm").schema.type
UUID = "0" * 32
WISHED = {"name": "vm", "image_uuid": UUID, "instance_offering_uuid": UUID, "network_uuids": [UUID]}


def test_every_secret_argument_is_write_only_with_a_version():
    for resource in Steppe.resources:
        attributes = resource.schema.attributes
        for name, one in attributes.items():
            if one.sensitive and (one.required or one.optional):
                assert one.write_only and f"{name}_version" in attributes, f"{resource.type_name}.{name}"


def test_a_terraform_that_would_store_it_is_refused(ask: Core):
    secret = given(VM, **WISHED, user_data_wo="hush", user_data_wo_version=1)
    knows = pb.ClientCapabilities(write_only_attributes_allowed=True)
    wanted = {"type_name": "steppe_vm", "config": secret}
    assert not ask("ValidateResourceConfig", **wanted, client_capabilities=knows).diagnostics
    (complaint,) = ask("ValidateResourceConfig", **wanted).diagnostics
    assert complaint.attribute.steps[0].attribute_name == "user_data_wo"
    assert told([complaint]) == [
        "user_data_wo needs a newer Terraform: user_data_wo is never stored, which takes Terraform 1.11 or newer: this one "
        "would store it."
    ]
    unknown = given(VM, **WISHED, user_data_wo=UNKNOWN, user_data_wo_version=1)
    assert len(ask("ValidateResourceConfig", type_name="steppe_vm", config=unknown).diagnostics) == 1
    without = given(VM, **WISHED)
    assert not ask("ValidateResourceConfig", type_name="steppe_vm", config=without).diagnostics
