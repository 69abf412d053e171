"""A team with an account of its own: what it may have, what it may use of others, and keys for its programs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from constructs import Construct

from ._attributes import Identified, Place, StackError, checked, declared
from .resources import AccessKey, Account, Quota, ResourceShare
from .vm import uuid_of


class Team(Construct):
    """`password`: a reference to something ephemeral, or a text; it is in no state. Another `password_version` sends it again.

    `quotas`: the most that the team may have, e.g. `{"vm.num": 20, "vm.memorySize": 64 * 2**30}`; what is not named is as
    for every account. `shares`: what it may use although it is another's, e.g. images, networks and offerings.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        password: str,
        password_version: int = 1,
        quotas: Mapping[str, int] | None = None,
        shares: Sequence[Identified] = (),
    ) -> None:
        super().__init__(scope, id)
        if not isinstance(shares, Sequence) or isinstance(shares, str):
            raise StackError(Place(self), f"shares must be a list of resources, not {shares!r} (write [ ] around it)")
        self.account = Account(self, "account", name=id, password_wo=password, password_wo_version=password_version)
        self.quotas = {name: self._quota(name, value) for name, value in (quotas or {}).items()}
        self.shares = [self._share(number, one) for number, one in enumerate(shares)]

    @property
    def uuid(self) -> str:
        return self.account.uuid

    def _quota(self, name: str, value: int) -> Quota:
        known: Any = checked(Place(self), "quotas", name, declared(Quota)["name"])
        return Quota(self, name.replace(".", "-"), account_uuid=self.uuid, name=known, value=value)

    def _share(self, number: int, thing: Identified) -> ResourceShare:
        uuid = uuid_of(Place(self), "shares", "resources", thing)
        name = thing.node.id if isinstance(thing, Construct) else str(number)
        return ResourceShare(self, f"share-{name}", resource_uuid=uuid, account_uuids=[self.uuid])

    def key(self, id: str, *, file: str | Path) -> AccessKey:
        """A lasting key, whose secret goes into `file` and nowhere else: the `credentials_file` of the team's own stacks."""
        return AccessKey(self, id, account_uuid=self.uuid, description=id, credentials_file=str(file))
