"""User data for cloud-init as Python objects: `CloudConfig(users=[…], groups=[…])` becomes `#cloud-config` YAML.

The same objects give the same text, so a second plan is empty. What cannot be is said before anything is planned; keys of
cloud-init that have no object here go into `more`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

DEFAULT_USER = "default"  # the user that the image brings, e.g. `debian`
HEAD = "#cloud-config\n"
NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


@dataclass(frozen=True)
class Group:
    """A group; the members must exist before or come with the image."""

    name: str
    members: Sequence[str] = ()

    def data(self) -> Any:
        return {self.name: list(self.members)} if self.members else self.name


@dataclass(frozen=True, kw_only=True)
class User:
    """A user of the guest. Without a password and with keys one logs in by key alone."""

    name: str
    gecos: str | None = None
    primary_group: str | None = None
    groups: Sequence[str] = ()
    shell: str | None = None
    sudo: str | Sequence[str] | None = None
    lock_passwd: bool | None = None
    hashed_passwd: str | None = None
    ssh_authorized_keys: Sequence[str] = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    def data(self) -> dict[str, Any]:
        return _filled(self)


@dataclass(frozen=True, kw_only=True)
class File:
    """A file that cloud-init writes."""

    path: str
    content: str
    owner: str | None = None
    permissions: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    def data(self) -> dict[str, Any]:
        return _filled(self)


@dataclass(frozen=True, kw_only=True)
class CloudConfig:
    """What cloud-init shall do. Groups are made before users."""

    users: Sequence[User | str] = ()
    groups: Sequence[Group | str] = ()
    packages: Sequence[str] = ()
    write_files: Sequence[File] = ()
    runcmd: Sequence[str | Sequence[str]] = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    def render(self) -> str:
        """The text of the user data."""
        return HEAD + as_yaml(_filled(self))

    def complaints(self) -> Iterator[str]:
        """What cannot be."""
        known = {one.name if isinstance(one, Group) else one for one in self.groups}
        for name in known:
            yield from _bad_name("group", name)
        seen: set[str] = set()
        for user in self.users:
            name = user.name if isinstance(user, User) else user
            yield from _bad_name("user", name)
            if name in seen:
                yield f"user {name!r} is there twice"
            seen.add(name)
        for key in self.more.keys() & {one.name for one in fields(self)}:
            yield f"more[{key!r}]: {key} has an argument of its own"
        for file in self.write_files:
            if not file.path.startswith("/"):
                yield f"write_files: {file.path!r} is not an absolute path"


def as_yaml(data: Any) -> str:
    """YAML in the order given; texts of several lines stay readable."""
    from ._yaml import dump  # a stack without user data need not load it

    return dump(data)


def _bad_name(noun: str, name: str) -> Iterator[str]:
    if "${" not in name and not NAME.fullmatch(name):
        yield f"{noun} {name!r}: a name has 1 to 32 of a-z, 0-9, _ and -, and does not begin with a digit or -"


def _filled(one: Any) -> dict[str, Any]:
    """What was given, objects as their data; `more` comes last."""
    found = {}
    for member in fields(one):
        value = getattr(one, member.name)
        if member.name == "more" or value is None or value == () or value == []:
            continue
        many = isinstance(value, Sequence) and not isinstance(value, str)
        found[member.name] = [_data(element) for element in value] if many else value
    return found | dict(one.more)


def _data(element: Any) -> Any:
    if hasattr(element, "data"):
        return element.data()
    return list(element) if isinstance(element, tuple) else element
