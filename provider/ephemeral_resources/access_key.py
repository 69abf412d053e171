"""The ephemeral resource steppe_access_key: a key that lives as long as the command, e.g. for another provider block."""

from provider.framework import validate
from provider.framework.plan import Object
from provider.framework.resource import Context
from provider.framework.schema import Schema, computed, optional
from provider.framework.types import STRING

LIMIT = 60.0  # seconds
COLLECTION = "/accesskeys"


class EphemeralAccessKey:
    type_name = "steppe_access_key"
    schema = Schema(
        {
            "account_uuid": optional(
                STRING,
                "UUID of the account that the key is for; by default the provider's own.",
                computed=True,
                validators=(validate.uuid,),
            ),
            "description": optional(
                STRING,
                "Any text, by which a key that a killed command left is known.",
                validators=(validate.length(0, 2048),),
            ),
            "uuid": computed(STRING, "UUID of the key."),
            "access_key_id": computed(STRING, "Its id."),
            "access_key_secret": computed(STRING, "Its secret.", sensitive=True),
        },
        "An access key that is made for one command and deleted when that ends. It is in no state and in no plan (Terraform "
        "1.10): hand it to a second provider block, or to a provisioner.",
    )

    def open(self, context: Context, config: Object) -> Object:
        parameters = {"accountUuid": config["account_uuid"], "description": config["description"]}
        made = context.client.create("CreateAccessKey", COLLECTION, parameters, timeout=LIMIT)
        context.private["uuid"] = made["uuid"]
        told = {
            "access_key_id": made["AccessKeyID"],
            "access_key_secret": made["AccessKeySecret"],
            "uuid": made["uuid"],
        }
        return config | told | {"account_uuid": made["accountUuid"]}

    def close(self, context: Context) -> None:
        context.client.delete("DeleteAccessKey", f"{COLLECTION}/{context.private['uuid']}", timeout=LIMIT)
