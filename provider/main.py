"""terraform-provider-steppe: puts resources, client and protocol together. Terraform starts it; `imports` is for people."""

import os
import sys
import threading
from collections.abc import Sequence

from provider.client import pending
from provider.client.credentials import settle
from provider.client.errors import ApiFailure, Unreachable, explain, remarks
from provider.data_sources import (
    LISTINGS,
    BootOrder,
    ConsoleAddress,
    GlobalConfigEntry,
    Inventories,
    Lookup,
    MigratableHosts,
    Query,
    SnapshotTrees,
)
from provider.ephemeral_resources import ALL as EPHEMERAL_RESOURCES
from provider.framework import validate
from provider.framework.diagnostics import Diagnostics
from provider.framework.function import Function
from provider.framework.late import Late
from provider.framework.plan import Object
from provider.framework.resource import Action, DataSource, EphemeralResource, ListResource, Resource
from provider.framework.schema import Schema, optional
from provider.framework.types import STRING, set_of, wholly_known
from provider.functions import ALL as FUNCTIONS
from provider.resources import ALL, GlobalConfig, Quota, ResourceShare
from provider.wire.server import serve


class Steppe:
    """The provider `steppe`: one account at one control plane."""

    schema = Schema(
        {
            "endpoint": optional(
                STRING,
                "URL of the control plane, e.g. `https://10.0.0.1:8443`; default: `STEPPE_ENDPOINT`.",
                validators=(validate.matches(r"https?://[^/\s]+(/.*)?", "a URL such as https://10.0.0.1:8443"),),
            ),
            "account_name": optional(STRING, "Account; default: `STEPPE_USERNAME`, else `admin`."),
            "password": optional(
                STRING, "Its password; default: `STEPPE_PASSWORD`. It is never stored in the state.", sensitive=True
            ),
            "access_key_id": optional(
                STRING, "Id of an access key, instead of a password; default: `STEPPE_ACCESS_KEY_ID`."
            ),
            "access_key_secret": optional(
                STRING,
                "Secret of the access key; default: `STEPPE_ACCESS_KEY_SECRET`. It signs requests and never travels.",
                sensitive=True,
            ),
            "credentials_file": optional(
                STRING,
                "TOML file with any of these settings, readable by its owner only (mode 0600); default: "
                "`STEPPE_CREDENTIALS_FILE`.",
            ),
            "default_tags": optional(
                set_of(STRING),
                "User tags that everything gets when it is made; a change does not touch what exists.",
                validators=(validate.each(validate.length(1, 65536)),),
            ),
            "ca_file": optional(
                STRING, "File with the certificates (PEM) to trust for `https`; default: `STEPPE_CA_FILE`."
            ),
        },
        "Steppe: KVM servers with local disks and flat networks as a private cloud.",
    )
    resources: Sequence[Resource] = (*ALL, GlobalConfig(), Quota(), ResourceShare())
    data_sources: Sequence[DataSource] = (
        *(Lookup(resource) for resource in ALL if "name" in resource.named),
        *(Inventories(resource) for resource in ALL),
        MigratableHosts(),
        Query(),
        GlobalConfigEntry(GlobalConfig()),
        ConsoleAddress(),
        BootOrder(),
        SnapshotTrees(),
        *LISTINGS,
    )
    functions: Sequence[Function] = FUNCTIONS
    ephemeral_resources: Sequence[EphemeralResource] = EPHEMERAL_RESOURCES
    list_resources: Sequence[ListResource] = Late("provider.list_resources")
    actions: Sequence[Action] = Late("provider.actions")

    def configure(self, config: Object, stop: threading.Event, diagnostics: Diagnostics) -> object:
        """Log in. Returns the client, or None after an error."""
        # Only commands that reach a control plane pay for the HTTP client.
        from provider.client.access_key import AccessKey
        from provider.client.control_plane import ControlPlane
        from provider.client.transport import Transport

        unknown = [name for name, value in config.items() if not wholly_known(value)]
        for name in unknown:
            detail = "The provider needs it to plan: use a value that is known before."
            diagnostics.error(f"{name} is not known yet", detail, (name,))
        if unknown:
            return None
        values = settle(config, os.environ)
        endpoint, ca_file = values["endpoint"] or "", values["ca_file"]
        try:
            transport = Transport(endpoint, ca_file)
        except (OSError, ValueError) as error:
            where = "ca_file" if isinstance(error, OSError) else "endpoint"
            diagnostics.error(f"Invalid {where}", f"{values[where]}: {error}", (where,))
            return None
        identifier, secret = values["access_key_id"], values["access_key_secret"]
        key = AccessKey(identifier, secret) if identifier and secret else None
        client = ControlPlane(transport, values["account_name"] or "admin", values["password"] or "", stop, key)
        client.default_tags = config["default_tags"] or []
        try:
            client.log_in()
        except ApiFailure as failure:
            diagnostics.error(
                "The control plane refuses the login", str(failure), ("access_key_id" if key else "password",)
            )
        except Unreachable as failure:
            diagnostics.error("The control plane cannot be reached", str(failure), ("endpoint",))
        return None if diagnostics.failed else client

    def release(self, client: object, *, in_good_order: bool) -> None:
        """End the session, and forget what was noted for the case of a crash."""
        from provider.client.control_plane import ControlPlane

        if in_good_order:
            pending.here().settle()
        if isinstance(client, ControlPlane):
            client.log_out()

    def explain(self, error: Exception, schema: Schema) -> Diagnostics | None:
        return explain(error, schema)

    def remarks(self, client: object, config: Object) -> Diagnostics:
        from provider.client.control_plane import ControlPlane

        return remarks(client.warnings(), config) if isinstance(client, ControlPlane) else Diagnostics()


def main() -> int:
    if sys.argv[1:2] == ["imports"]:
        from provider.imports import write

        return write(Steppe(), sys.argv[2:])
    return serve(Steppe())


if __name__ == "__main__":
    sys.exit(main())
