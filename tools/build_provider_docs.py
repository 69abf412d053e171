"""Write docs/provider in the layout of Terraform's registry, from the provider's schema and the tested examples.

A test fails when the pages are not what this would write.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from provider.client.credentials import ENVIRONMENT  # noqa: E402
from provider.framework.function import Function  # noqa: E402
from provider.framework.resource import Resource  # noqa: E402
from provider.framework.schema import Attr, Nested, Schema  # noqa: E402
from provider.framework.types import Type  # noqa: E402
from provider.main import Steppe  # noqa: E402

DOCS = ROOT / "docs" / "provider"
EXAMPLES = sorted((ROOT / "examples").glob("*/*.tf"))


def pages() -> dict[Path, str]:
    """Every page by its path."""
    provider = Steppe()
    found = {DOCS / "index.md": _index(provider.schema)}
    for resource in provider.resources:
        name = resource.type_name.removeprefix("steppe_")
        found[DOCS / "resources" / f"{name}.md"] = _resource(resource)
    for source in provider.data_sources:
        name = source.type_name.removeprefix("steppe_")
        found[DOCS / "data-sources" / f"{name}.md"] = _data_source(source.type_name, source.schema)
    for function in provider.functions:
        found[DOCS / "functions" / f"{function.name}.md"] = _function(function)
    for one in provider.ephemeral_resources:
        name = one.type_name.removeprefix("steppe_")
        found[DOCS / "ephemeral-resources" / f"{name}.md"] = _ephemeral_resource(one.type_name, one.schema)
    for listed in provider.list_resources:
        name = listed.type_name.removeprefix("steppe_")
        found[DOCS / "list-resources" / f"{name}.md"] = _newer("List Resource", "list", listed.type_name, listed.schema)
    for action in provider.actions:
        name = action.type_name.removeprefix("steppe_")
        found[DOCS / "actions" / f"{name}.md"] = _newer("Action", "action", action.type_name, action.schema)
    return found


def _function(function: Function) -> str:
    parameters = ", ".join(f"{one.name} {_spelled(one.type)}" for one in function.parameters)
    lines = "".join(
        f"1. `{one.name}` ({_spelled(one.type).capitalize()}) {one.description}\n" for one in function.parameters
    )
    return (
        _front(f"{function.name} Function - Steppe", function.summary)
        + f"# function: {function.name}\n\n{function.description}\n\n## Example Usage\n\n"
        + f"```terraform\n{function.example}\n```\n\n## Signature\n\n"
        + f"```text\n{function.name}({parameters}) {_spelled(function.returns)}\n```\n\n## Arguments\n\n{lines}"
    )


def _spelled(type_: Type | None) -> str:
    return type_.kind if type_ else "dynamic"


def _front(title: str, description: str) -> str:
    first = description.split(". ")[0].rstrip(".")
    return f'---\npage_title: "{title}"\nsubcategory: ""\ndescription: |-\n  {first}.\n---\n\n'


# A test takes the provider as this says.
INSTALLATION = """\
## Installation

The control plane serves the provider. A machine with Terraform and `python3.11` needs two lines: where it is, in `~/.terraformrc`,

```hcl
provider_installation {
  network_mirror { url = "https://10.0.0.1:8443/terraform/providers/" }
}
```

and whom to trust for that, in the environment: `export SSL_CERT_FILE=control-plane-ca.pem`, a copy of the control plane's
`pki/ca.pem`. Or without both, `steppe --server https://10.0.0.1:8443 --ca control-plane-ca.pem provider install` puts it where Terraform looks
by itself.

```terraform
terraform {
  required_providers {
    steppe = { source = "terraform.local/steppe/steppe" }
  }
}
```

"""


def _index(schema: Schema) -> str:
    environment = "\n".join(f"- `{variable}` for `{name}`" for name, variable in ENVIRONMENT.items())
    return (
        _front("Provider: Steppe", schema.description)
        + f"# Steppe Provider\n\n{schema.description}\n\n{INSTALLATION}## Example Usage\n\n"
        + '```terraform\nprovider "steppe" {\n  endpoint = "https://10.0.0.1:8443"\n  password = var.admin_password\n'
        + '  ca_file  = "control-plane-ca.pem"\n}\n```\n\nWhat is left out comes from the environment:\n\n'
        + f"{environment}\n\n{_schema(schema)}"
    )


def _resource(resource: Resource) -> str:
    type_name, schema, (what, identifier) = resource.type_name, resource.schema, resource.imported_by
    example = _example("resource", type_name)
    return (
        _front(f"{type_name} Resource - Steppe", schema.description)
        + f"# {type_name} (Resource)\n\n{schema.description}\n\n"
        + (f"## Example Usage\n\n```terraform\n{example}\n```\n\n" if example else "")
        + _schema(schema)
        + f"\n## Import\n\nBy {what}:\n\n```shell\nterraform import {type_name}.example {identifier}\n```\n"
        + _identity(resource)
        + _moved(resource)
    )


def _identity(resource: Resource) -> str:
    if not resource.identity:
        return ""
    example = resource.imported_by[1].split("/", len(resource.identity) - 1)
    pairs = ", ".join(f'{name} = "{value}"' for name, value in zip(resource.identity, example, strict=True))
    block = f"import {{\n  to       = {resource.type_name}.example\n  identity = {{ {pairs} }}\n}}"
    return f"\nOr by its identity (Terraform 1.12):\n\n```terraform\n{block}\n```\n"


def _moved(resource: Resource) -> str:
    """Where its state may come from."""
    if not resource.moves_from():
        return ""
    sources = " or ".join(f"`{one}`" for one in sorted(resource.moves_from()))
    block = f"moved {{\n  from = {sorted(resource.moves_from())[0]}.example\n  to   = {resource.type_name}.example\n}}"
    return (
        f"\n## Moved\n\nThe state of {sources} can be taken over where it means the same thing of this cloud (Terraform "
        f"1.8). The next plan reads it as an import does:\n\n```terraform\n{block}\n```\n"
    )


# No Terraform that knows them was at hand when they were tested.
NEWER = """\
Terraform 1.14 or newer. Steppe's tests drive it by a client of the published protocol: no newer core than 1.11 was at hand.
"""


def _newer(kind: str, word: str, type_name: str, schema: Schema) -> str:
    """A list resource or an action."""
    required = [name for name, one in schema.attributes.items() if one.required]
    given = {name: f"{_owner(name)}" if name.endswith("_uuid") else '"example"' for name in required}
    if word == "list":
        given = {"name_pattern": '"web%"'}
        if "name" not in schema.attributes:
            about = next(name for name in schema.attributes if name.endswith("_uuid"))
            given = {about: _owner(about).replace("steppe_resource", "steppe_vm")}
    width = max(map(len, given))
    config = "".join(f"    {name:<{width}} = {value}\n" for name, value in given.items())
    provider = "  provider = steppe\n" if word == "list" else ""
    example = f'{word} "{type_name}" "example" {{\n{provider}  config {{\n{config}  }}\n}}'
    return (
        _front(f"{type_name} {kind} - Steppe", schema.description)
        + f"# {type_name} ({kind})\n\n{schema.description}\n\n{NEWER}\n## Example Usage\n\n```terraform\n{example}\n```\n\n"
        + _schema(schema)
    )


def _owner(attribute: str) -> str:
    """What has that uuid, in an example: `vm_uuid` → `steppe_vm.example.uuid`."""
    noun = {"snapshot": "volume_snapshot"}.get(attribute.removesuffix("_uuid"), attribute.removesuffix("_uuid"))
    return f"steppe_{noun}.example.uuid"


def _data_source(type_name: str, schema: Schema) -> str:
    example = _example("data", type_name) or plainest(type_name, schema)
    return (
        _front(f"{type_name} Data Source - Steppe", schema.description)
        + f"# {type_name} (Data Source)\n\n{schema.description}\n\n## Example Usage\n\n"
        + f"```terraform\n{example}\n```\n\n"
        + _schema(schema)
    )


def _ephemeral_resource(type_name: str, schema: Schema) -> str:
    example = _example("ephemeral", type_name)
    return (
        _front(f"{type_name} Ephemeral Resource - Steppe", schema.description)
        + f"# {type_name} (Ephemeral Resource)\n\n{schema.description}\n\n"
        + (f"## Example Usage\n\n```terraform\n{example}\n```\n\n" if example else "")
        + _schema(schema)
    )


def _example(kind: str, type_name: str) -> str:
    """The first block of that type in the examples."""
    pattern = re.compile(rf'^{kind} "{type_name}" .*?^}}$', re.MULTILINE | re.DOTALL)
    for file in EXAMPLES:
        found = pattern.search(file.read_text())
        if found:
            return found.group(0)
    return ""


def plainest(type_name: str, schema: Schema) -> str:
    """A data source of which no example has one: by name where it has one, else everything."""
    values = {"category": "kvm", "name": "vm.cpuMode"} if "category" in schema.attributes else {"name": "example"}
    lines = "".join(f'  {name} = "{value}"\n' for name, value in values.items() if name in schema.attributes)
    return f'data "{type_name}" "example" {{\n{lines}}}' if lines else f'data "{type_name}" "example" {{}}'


def _schema(schema: Schema) -> str:
    text = "## Schema\n"
    nested: list[tuple[str, Nested]] = []
    groups = (
        ("Required", lambda one: one.required),
        ("Optional", lambda one: one.optional),
        ("Read-Only", lambda one: not one.required and not one.optional),
    )
    for title, belongs in groups:
        rows = {name: one for name, one in sorted(schema.attributes.items()) if belongs(one)}
        if rows:
            text += f"\n### {title}\n\n" + "".join(_line(name, one) for name, one in rows.items())
        nested += [(name, one.shape) for name, one in rows.items() if isinstance(one.shape, Nested)]
    for name, shape in nested:
        text += f'\n<a id="nestedatt--{name}"></a>\n### Nested Schema for `{name}`\n\n'
        text += "".join(_line(member, one, kind=True) for member, one in sorted(shape.attributes.items()))
        nested += [
            (member, one.shape) for member, one in sorted(shape.attributes.items()) if isinstance(one.shape, Nested)
        ]
    return text


def _line(name: str, attribute: Attr, kind: bool = False) -> str:
    facts = [_type(attribute)]
    if kind:
        facts.insert(0, "Required" if attribute.required else "Optional" if attribute.optional else "Read-Only")
    if attribute.sensitive:
        facts.append("Sensitive")
    text = attribute.description
    if attribute.default is not None:
        text += f" Default: `{str(attribute.default).lower() if attribute.default is True else attribute.default}`."
    if attribute.replace:
        text += " A change makes a new one."
    if isinstance(attribute.shape, Nested):
        text += f" (see [below](#nestedatt--{name}))"
    return f"- `{name}` ({', '.join(facts)}) {text}\n"


def _type(attribute: Attr) -> str:
    if isinstance(attribute.shape, Nested):
        single = attribute.shape.nesting == "single"
        return "Attributes" if single else f"Attributes {attribute.shape.nesting.capitalize()}"
    kind = attribute.shape.kind.capitalize()
    element = attribute.shape.element
    return f"{kind} of {element.kind.capitalize()}" if element else kind


def main() -> int:
    wanted = pages()
    for stale in set(DOCS.rglob("*.md")) - set(wanted):
        stale.unlink()
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    print(f"{len(wanted)} pages in {DOCS}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
