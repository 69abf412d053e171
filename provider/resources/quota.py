"""steppe_quota: how much of one thing an account may have. It always exists: destroying it resets it to its default."""

from typing import ClassVar

from provider.client.control_plane import ControlPlane
from provider.client.errors import ApiFailure
from provider.framework import validate
from provider.framework.diagnostics import Refused
from provider.framework.plan import Object
from provider.framework.resource import Context, Resource
from provider.framework.schema import Schema, required
from provider.framework.types import NUMBER, STRING
from provider.resources.base import reference

LIMIT = 60.0  # seconds
COLLECTION = "accounts/quotas"
NAMES = (
    "vm.totalNum", "vm.num", "vm.cpuNum", "vm.memorySize", "volume.data.num", "volume.capacity", "snapshot.volume.num",
    "image.num", "image.size",
)  # fmt: skip


class Quota(Resource):
    type_name = "steppe_quota"
    identity: ClassVar[tuple[str, ...]] = ("account_uuid", "name")
    imported_by: ClassVar[tuple[str, str]] = (
        "the account's uuid and the name",
        "0123456789abcdef0123456789abcdef/vm.num",
    )
    schema = Schema(
        {
            "account_uuid": reference("the account, whose type is `Normal`: administrators have no quota"),
            "name": required(
                STRING,
                f"What is limited: {', '.join(f'`{one}`' for one in NAMES)}. Of VMs that are not stopped count `vm.num`, "
                "`vm.cpuNum` and `vm.memorySize`; sizes are bytes.",
                replace=True,
                validators=(validate.one_of(*NAMES),),
            ),
            "value": required(
                NUMBER,
                "The most that the account may have; changed in place. What is there already stays, even above it.",
                validators=(validate.between(0, 2**63 - 1),),
            ),
        },
        "A quota of an account. Destroying it resets the quota to what a new account gets.",
    )

    def create(self, context: Context, planned: Object) -> Object:
        return self._store(context, planned)

    def read(self, context: Context, state: Object) -> Object | None:
        return _find(context.client, state["account_uuid"], state["name"])

    def update(self, context: Context, prior: Object, planned: Object) -> Object:
        return self._store(context, planned)

    def delete(self, context: Context, state: Object) -> None:
        if self.read(context, state) is not None:  # it goes with its account
            self._send(context, {"identityUuid": state["account_uuid"], "name": state["name"]})

    def import_state(self, context: Context, identifier: str) -> Object:
        account, _, name = identifier.partition("/")
        if validate.uuid(account) or name not in NAMES:
            example = self.imported_by[1]
            raise Refused("Cannot import", f"The id is uuid and name, e.g. {example}; {identifier!r} is not.")
        found = _find(context.client, account, name)
        if found is None:
            raise Refused("Cannot import", f"There is no account {account}, or it is an administrator without quotas.")
        return found

    def _store(self, context: Context, planned: Object) -> Object:
        asked = {"identityUuid": planned["account_uuid"], "name": planned["name"], "value": int(planned["value"])}
        self._send(context, asked)
        return planned

    def _send(self, context: Context, asked: Object) -> None:
        try:
            context.client.action(f"/{COLLECTION}", "updateQuota", asked, timeout=LIMIT)
        except ApiFailure as failure:
            failure.field = "accountUuid" if failure.field == "identityUuid" else failure.field
            raise


def _find(client: ControlPlane, account: str, name: str) -> Object | None:
    found = client.query(COLLECTION, identityUuid=account, name=name)
    return {"account_uuid": account, "name": name, "value": found[0]["value"]} if found else None
