"""Data sources of what has no resource of its own to be like: lists of rows by conditions, each a line of a table."""

from functools import cached_property

from provider.client.errors import wire_name
from provider.data_sources.inventories import conditions
from provider.framework.plan import Object
from provider.framework.resource import Context
from provider.framework.schema import Nested, Schema, computed
from provider.framework.types import BOOL, NUMBER, STRING, Type

Columns = dict[str, tuple[Type, str, str]]


class Listing:
    """`columns`: attribute → type, field of the inventory ("" is the attribute's camelCase), description."""

    def __init__(self, noun: str, collection: str, description: str, columns: Columns) -> None:
        self.type_name = f"steppe_{noun}"
        self.noun, self.collection, self.description, self.columns = noun, collection, description, columns

    @cached_property
    def schema(self) -> Schema:
        rows = Nested("list", {name: computed(type_, said) for name, (type_, _, said) in self.columns.items()})
        found = computed(rows, "What was found.")
        return Schema({"conditions": conditions(), self.noun: found}, self.description)

    def read(self, context: Context, config: Object) -> Object:
        inventories = context.client.every(self.collection, config["conditions"] or [])
        fields = {name: field or wire_name(name) for name, (_, field, _) in self.columns.items()}
        return config | {self.noun: [{name: one.get(field) for name, field in fields.items()} for one in inventories]}


LISTINGS = (
    Listing(
        "quotas",
        "accounts/quotas",
        "Lists quotas: how much each account may have, e.g. of one with `identityUuid=…`.",
        {
            "account_uuid": (STRING, "identityUuid", "UUID of the account."),
            "name": (STRING, "", "What is limited, e.g. `vm.num`."),
            "value": (NUMBER, "", "The most that the account may have."),
        },
    ),
    Listing(
        "shared_resources",
        "accounts/resources",
        "Lists what is shared, and with whom, e.g. of one resource with `resourceUuid=…`.",
        {
            "resource_uuid": (STRING, "", "UUID of the resource."),
            "resource_type": (STRING, "", "What it is, e.g. `ImageVO`."),
            "owner_uuid": (STRING, "ownerAccountUuid", "UUID of the account that it belongs to."),
            "receiver_uuid": (
                STRING,
                "receiverAccountUuid",
                "UUID of the account that it is shared with; null: with all.",
            ),
            "to_public": (BOOL, "", "Whether it is shared with every account."),
        },
    ),
    Listing(
        "resource_owners",
        "accounts/resources/refs",
        "Lists which account each resource belongs to, e.g. of one with `resourceUuid=…`, or all of an account with "
        "`accountUuid=…`.",
        {
            "resource_uuid": (STRING, "", "UUID of the resource."),
            "resource_type": (STRING, "", "What it is, e.g. `VmInstanceVO`."),
            "account_uuid": (STRING, "", "UUID of the account that it belongs to."),
        },
    ),
    Listing(
        "global_configs",
        "global-configurations",
        "Lists entries of the global configuration, e.g. those of a category with `category=kvm`.",
        {
            "category": (STRING, "", "Category of the entry."),
            "name": (STRING, "", "Its name."),
            "value": (STRING, "", "Its value, always as text."),
            "default_value": (STRING, "", "Its value when nobody chooses one."),
            "description": (STRING, "", "What it means."),
        },
    ),
    Listing(
        "network_services",
        "l3-networks/network-services/refs",
        "Lists the services that networks have, and who provides them.",
        {
            "network_uuid": (STRING, "l3NetworkUuid", "UUID of the network (L3)."),
            "provider_uuid": (STRING, "networkServiceProviderUuid", "UUID of the provider of the service."),
            "service": (STRING, "networkServiceType", "`DHCP` or `Userdata`."),
        },
    ),
)
