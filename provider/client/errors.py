"""What the control plane may answer instead of a result, and how it is told to the user."""

import re
from typing import Any

from provider.framework.diagnostics import Diagnostics
from provider.framework.schema import Nested, Schema


class ApiFailure(Exception):
    """An error of the control plane: `code` may be branched on, `details` may not."""

    def __init__(self, call: str, error: dict[str, Any]) -> None:
        self.call = call
        self.code = str(error.get("code", "SYS.1000"))
        self.description = str(error.get("description", ""))
        self.details = str(error.get("details") or "")
        self.field = error.get("field")
        self.causes = list(_causes(error.get("cause")))
        super().__init__(f"{call}: [{self.code}] {self.details}")

    @property
    def gone(self) -> bool:
        return self.code == "SYS.1003"

    @property
    def session_lost(self) -> bool:
        return self.code == "ID.1001"


class Unreachable(Exception):
    """The control plane did not answer, or not in its own words."""


class Interrupted(Exception):
    """The stop event was set while waiting for an answer."""


class Stopped(Exception):
    """The user asked to stop, and the operation was cancelled at the control plane."""


class TimedOut(Exception):
    """The operation took longer than the user allows, and was cancelled at the control plane."""


def _causes(error: Any) -> list[str]:
    chain = []
    while isinstance(error, dict):
        chain.append(f"[{error.get('code')}] {error.get('details') or error.get('description') or ''}")
        error = error.get("cause")
    return chain


def explain(error: Exception, schema: Schema) -> Diagnostics | None:
    """Diagnostics with the attribute to blame, where the control plane named one; None for any other exception."""
    diagnostics = Diagnostics()
    match error:
        case ApiFailure():
            lines = [error.details, *(f"Caused by {cause}" for cause in error.causes)]
            summary = f"{error.call} failed: {error.code} {error.description}".rstrip()
            attribute = _attribute(error, schema)
            diagnostics.error(summary, "\n".join(filter(None, lines)), (attribute,) if attribute else ())
        case Unreachable():
            diagnostics.error("The control plane cannot be reached", str(error))
        case Stopped():
            diagnostics.error("Stopped on request", str(error))
        case TimedOut():
            diagnostics.error("Timed out", str(error), ("timeouts",) if "timeouts" in schema.attributes else ())
        case _:
            return None
    return diagnostics


def _attribute(error: ApiFailure, schema: Schema) -> str | None:
    """The attribute that carries the wire's field, e.g. clusterUuid → cluster_uuid."""
    fields = [error.field] if error.field else []
    fields += re.findall(r"field\[(\w+)\]", error.details)
    words = {wire_name(name): name for name in schema.attributes}
    for name, attribute in schema.attributes.items():
        if isinstance(attribute.shape, Nested):
            words |= {
                wire_name(member): name for member in attribute.shape.attributes if wire_name(member) not in words
            }
    # A VM's networks are `l3NetworkUuids` on the wire and `network_uuids` to the user.
    words |= (
        {"l3NetworkUuids": "network_uuids", "l3NetworkUuid": "network_uuids"}
        if "network_uuids" in words.values()
        else {}
    )
    return next((words[field] for field in fields if field in words), None)


# Attributes that stand for a system tag of the VM, the first one that is written first.
_TAGS = {"userdata": ("user_data", "user_data_wo"), "sshkey": ("ssh_keys",), "hostname": ("hostname",)}

_ALL_THE_SAME = "The control plane took it all the same."


def remarks(warnings: list[tuple[str, str]], config: dict[str, Any]) -> Diagnostics:
    """The control plane's warnings, each with the attribute of the configuration that it is about."""
    diagnostics = Diagnostics()
    for tag, details in warnings:
        candidates = (*_TAGS.get(tag, ()), "system_tags", "tag")
        blamed = next((name for name in candidates if config.get(name) is not None), None)
        # Terraform shows one of several warnings with the same summary.
        diagnostics.warning(details[:1].upper() + details[1:], _ALL_THE_SAME, (blamed,) if blamed else ())
    return diagnostics


def wire_name(attribute: str) -> str:
    """`cluster_uuid` → `clusterUuid`."""
    head, *rest = attribute.split("_")
    return head + "".join(part.capitalize() for part in rest)
