"""steppe_account: somebody who logs in, with quotas and resources of their own. The password is in no state and no plan."""

import hashlib
from collections.abc import Iterator
from typing import Any

from provider.framework import validate
from provider.framework.diagnostics import Path
from provider.framework.plan import Object, Plan
from provider.framework.resource import Context
from provider.framework.schema import Schema, optional
from provider.framework.types import NUMBER, STRING, Value
from provider.resources.base import Table, identity, timeouts

PASSWORD, VERSION = "password_wo", "password_wo_version"


def _belong_together(config: dict[str, Value]) -> Iterator[tuple[Path, str]]:
    if (config.get(PASSWORD) is None) != (config.get(VERSION) is None):
        yield (VERSION,), f"{PASSWORD} and {VERSION} belong together: a new version sends the password."


class Account(Table):
    type_name = "steppe_account"
    collection = "accounts"
    create_api = ("CreateAccount", "/accounts")
    update_action = "updateAccount"
    delete_api = "DeleteAccount"
    creates_with = ("type",)
    schema = Schema(
        identity("account")
        | {
            PASSWORD: optional(
                STRING,
                "Its password, neither in the state nor in a plan (Terraform 1.11); a new account needs one. Another one, "
                f"sent when `{VERSION}` changes, is stored in place and ends all sessions of the account.",
                write_only=True,
                sensitive=True,
                validators=(validate.length(1, 1024),),
            ),
            VERSION: optional(
                NUMBER, f"Any number; `{PASSWORD}` is sent when it changes.", validators=(validate.between(0, 2**53),)
            ),
            "type": optional(
                STRING,
                "`Normal`: has quotas, and sees what is its own or shared with it. `SystemAdmin`: may do what `admin` may.",
                default="Normal",
                replace=True,
                validators=(validate.one_of("Normal", "SystemAdmin"),),
            ),
        }
        | timeouts(),
        "An account. Destroying it ends its sessions, keys, quotas and shares; what it owns becomes the administrator's.",
        rules=(_belong_together,),
    )

    def modify_plan(self, plan: Plan) -> None:
        if plan.prior is None and plan.config[VERSION] is None:
            detail = "A new account needs a password to log in with."
            plan.diagnostics.error(f"Missing {PASSWORD}", detail, (PASSWORD,))

    def secrets(self, context: Context, planned: Object) -> dict[str, Any]:
        return {"password": _hashed(context)}

    def update_more(self, context: Context, prior: Object, planned: Object) -> None:
        if planned[VERSION] != prior[VERSION] and planned[VERSION] is not None:
            path, limit = f"/{self.collection}/{prior['uuid']}", self.limit("update", planned)
            context.client.action(path, self.update_action, {"password": _hashed(context)}, timeout=limit)


def _hashed(context: Context) -> str:
    """As it travels."""
    return hashlib.sha512(context.config[PASSWORD].encode()).hexdigest()
