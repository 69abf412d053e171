"""`terraform-provider-steppe imports [TYPE …]`: an `import` block for everything that exists, to bring a cloud under Terraform.

For Terraform before 1.14, whose `terraform query` does it by itself. Terraform writes the configuration to the blocks:
`terraform plan -generate-config-out=cloud.tf`. Settings come from the environment (`STEPPE_ENDPOINT`, …), as for Terraform.
"""

import re
import sys
import threading
from collections.abc import Iterator

from provider.client.errors import ApiFailure, Unreachable
from provider.framework.diagnostics import Diagnostics, Refused
from provider.framework.resource import Context, Provider
from provider.list_resources import ALL, Listed, Rows

# Asked for by name only: tags are attributes of what bears them, entries and quotas have defaults, and where the secret of a
# key lies nobody can tell.
UNASKED = {"steppe_system_tag", "steppe_global_config", "steppe_quota", "steppe_access_key"}


def write(provider: Provider, kinds: list[str]) -> int:
    """To standard output; what is wrong to standard error. Returns the exit status."""
    known = {one.type_name for one in ALL}
    if unknown := sorted(set(kinds) - known):
        return _wrong(f"there is no {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    stop, diagnostics = threading.Event(), Diagnostics()
    try:
        client = provider.configure(dict.fromkeys(provider.schema.attributes), stop, diagnostics)
    except Refused as refused:
        return _wrong(str(refused))
    if client is None:
        return _wrong(*(f"{one.summary}: {one.detail}" for one in diagnostics.items))
    try:
        for one in ALL:
            if one.type_name in kinds or (not kinds and one.type_name not in UNASKED):
                sys.stdout.writelines(_blocks(one, Context(client, stop)))
    except (ApiFailure, Unreachable) as failure:
        return _wrong(str(failure))
    finally:
        provider.release(client, in_good_order=True)
    return 0


def _blocks(one: Listed | Rows, context: Context) -> Iterator[str]:
    labels: set[str] = set()
    nothing = dict.fromkeys(one.schema.attributes)
    for found in one.list(context, nothing, whole=False):
        identifier = "/".join(str(found.state[name]) for name in one.resource.identity)
        label = _label(found.display_name)
        if label in labels:
            label = f"{label}_{_label(identifier)}"
        labels.add(label)
        yield f'import {{\n  to = {one.type_name}.{label}\n  id = "{identifier}"\n}}\n'


def _label(name: str) -> str:
    """A name as Terraform allows it: letters, digits, `_` and `-`, no digit at first."""
    label = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_-")
    return label if re.match(r"[A-Za-z]", label) else f"_{label}"


def _wrong(*lines: str) -> int:
    sys.stderr.writelines(f"{line}\n" for line in lines)
    return 1
