"""terraform-provider-steppe: puts resources, client and protocol together. Terraform starts it."""

import os
import sys
import threading
from collections.abc import Sequence
from typing import Any

from provider.client import pending
from provider.client.errors import ApiFailure, Unreachable, explain
from provider.data_sources import Lookup
from provider.framework import validate
from provider.framework.diagnostics import Diagnostics
from provider.framework.plan import Object
from provider.framework.resource import DataSource, Resource
from provider.framework.schema import Schema, optional
from provider.framework.types import STRING, UNKNOWN
from provider.resources import ALL
from provider.wire.server import serve

# attribute → environment variable that is used when the attribute is left out
ENVIRONMENT = {
    "endpoint": "STEPPE_ENDPOINT",
    "account_name": "STEPPE_USERNAME",
    "password": "STEPPE_PASSWORD",
    "ca_file": "STEPPE_CA_FILE",
}


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
            "ca_file": optional(
                STRING, "File with the certificates (PEM) to trust for `https`; default: `STEPPE_CA_FILE`."
            ),
        },
        "Steppe: KVM servers with local disks and flat networks as a private cloud.",
    )
    resources: Sequence[Resource] = ALL
    data_sources: Sequence[DataSource] = tuple(Lookup(resource) for resource in ALL)

    def configure(self, config: Object, stop: threading.Event, diagnostics: Diagnostics) -> object:
        """Log in. Returns the client, or None after an error."""
        # Only commands that reach a control plane pay for the HTTP client.
        from provider.client.control_plane import ControlPlane
        from provider.client.transport import Transport

        values: dict[str, Any] = {
            name: config[name] if config[name] is not None else os.environ.get(ENVIRONMENT[name]) for name in config
        }
        for name, value in values.items():
            if value is UNKNOWN:
                diagnostics.error(
                    f"{name} is not known yet",
                    "The provider needs it to plan: use a value that is known before.",
                    (name,),
                )
            elif name in ("endpoint", "password") and not value:
                diagnostics.error(
                    f"{name} is missing", f"Set it in the provider block or in {ENVIRONMENT[name]}.", (name,)
                )
        if diagnostics.failed:
            return None
        try:
            transport = Transport(values["endpoint"], values["ca_file"])
        except (OSError, ValueError) as error:
            where = "ca_file" if isinstance(error, OSError) else "endpoint"
            diagnostics.error(f"Invalid {where}", f"{values[where]}: {error}", (where,))
            return None
        client = ControlPlane(transport, values["account_name"] or "admin", values["password"], stop)
        try:
            client.log_in()
        except ApiFailure as failure:
            diagnostics.error("The control plane refuses the login", str(failure), ("password",))
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


def main() -> int:
    return serve(Steppe())


if __name__ == "__main__":
    sys.exit(main())
