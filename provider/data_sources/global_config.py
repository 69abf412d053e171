"""The data source steppe_global_config: one entry of the global configuration as it is."""

from dataclasses import replace

from provider.data_sources.lookup import read_only
from provider.framework.plan import Object
from provider.framework.resource import Context, Resource
from provider.framework.schema import Schema


class GlobalConfigEntry:
    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self.type_name = resource.type_name
        facts = read_only(resource.schema.attributes)
        keys = {
            name: replace(resource.schema.attributes[name], replace=False, computed=False)
            for name in ("category", "name")
        }
        self.schema = Schema(facts | keys, "Reads an entry of the global configuration.")

    def read(self, context: Context, config: Object) -> Object:
        return self.resource.import_state(context, f"{config['category']}/{config['name']}")
