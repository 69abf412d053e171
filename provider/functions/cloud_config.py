"""cloud_config: an object as `#cloud-config` user data, checked before a guest boots with it."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from provider.framework.function import Function, Parameter, Wrong
from provider.framework.types import STRING, Value
from provider.functions import yaml

NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
NAME_RULE = "a name has 1 to 32 of a-z, 0-9, _ and -, and does not begin with a digit or -"
LISTS = ("users", "groups", "packages", "runcmd", "bootcmd", "write_files", "ssh_authorized_keys")
LONGEST = 65536 - len("userdata::")


class CloudConfig(Function):
    name = "cloud_config"
    summary = "cloud-init user data from an object."
    description = (
        "Writes an object as `#cloud-config` YAML, for `user_data` of `steppe_vm`. What no guest could use is an error: a list "
        "that is none, a user or group without a proper name, a user named twice, a file without an absolute path."
    )
    example = """provider::steppe::cloud_config({
  groups = [{ ubuntu = ["foo", "bar"] }, "cloud-users"]
  users  = ["default", { name = "foobar", groups = ["users", "cloud-users"], shell = "/bin/bash" }]
})"""
    parameters = (Parameter("config", None, 'Keys of cloud-init and their values, e.g. `{ packages = ["nginx"] }`.'),)
    returns = STRING

    def call(self, arguments: Sequence[Value]) -> Value:
        config = arguments[0]
        if not isinstance(config, dict) or not config:
            raise Wrong(0, 'an object with at least one key of cloud-init is needed, e.g. { packages = ["nginx"] }')
        complaints = list(_complaints(config))
        if complaints:
            raise Wrong(0, "; ".join(complaints))
        text = "#cloud-config\n" + yaml.document(_without_null(config))
        if len(text.encode()) > LONGEST:
            raise Wrong(0, f"the user data has {len(text.encode())} bytes; at most {LONGEST} are allowed")
        return text


def _complaints(config: dict[str, Any]) -> Iterator[str]:
    broken = [key for key in LISTS if key in config and not isinstance(config[key], list | type(None))]
    for key in broken:
        if (key, type(config[key])) not in {("users", dict), ("groups", dict), ("groups", str), ("users", str)}:
            yield f"{key} must be a list"
    for index, user in enumerate(_list(config, "users")):
        if isinstance(user, dict):
            yield from _bad_name(f"users[{index}]", user.get("name", user.get("snapuser")))
        elif not isinstance(user, str):
            yield f"users[{index}] must be an object with a name, or a name"
    names = [user.get("name") if isinstance(user, dict) else user for user in _list(config, "users")]
    for name in sorted({str(name) for name in names if name is not None and names.count(name) > 1}):
        yield f"user {name!r} is there twice"
    for index, group in enumerate(_list(config, "groups")):
        for name in group if isinstance(group, dict) else [group]:
            yield from _bad_name(f"groups[{index}]", name)
    for index, file in enumerate(_list(config, "write_files")):
        path = file.get("path") if isinstance(file, dict) else None
        if not (isinstance(path, str) and path.startswith("/")):
            yield f"write_files[{index}] needs an absolute path"


def _list(config: dict[str, Any], key: str) -> list[Any]:
    value = config.get(key)
    return value if isinstance(value, list) else []


def _bad_name(where: str, name: Any) -> Iterator[str]:
    if not (isinstance(name, str) and NAME.fullmatch(name)):
        yield f"{where}: {name!r}: {NAME_RULE}" if name is not None else f"{where} needs a name"


def _without_null(value: Any) -> Any:
    """An optional attribute that was left out is null in Terraform, and no key in cloud-init."""
    if isinstance(value, dict):
        return {key: _without_null(one) for key, one in value.items() if one is not None}
    return [_without_null(one) for one in value] if isinstance(value, list) else value
