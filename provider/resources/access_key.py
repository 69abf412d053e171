"""steppe_access_key: a lasting key of an account. Its secret is shown once: it goes into a credentials file, never into a
state. For a key that one command needs there is the ephemeral resource of the same name.
"""

import json
import os
from pathlib import Path

from provider.client import pending
from provider.client.control_plane import ControlPlane, Inventory
from provider.framework import validate
from provider.framework.diagnostics import Refused
from provider.framework.plan import Object, Plan
from provider.framework.resource import Context
from provider.framework.schema import Schema, computed, optional, required
from provider.framework.types import STRING
from provider.resources.base import Table, timeouts
from provider.resources.enablement import state

FILE = "credentials_file"
CREATE = "CreateAccessKey"


class AccessKey(Table):
    type_name = "steppe_access_key"
    collection = "accesskeys"
    create_api = (CREATE, "/accesskeys")
    delete_api = "DeleteAccessKey"
    state_action = "changeAccessKeyState"
    named = ()
    creates_with = ("account_uuid", "description")
    names = {"access_key_id": "AccessKeyID"}
    schema = Schema(
        {
            "uuid": computed(STRING, "UUID of the key: 32 hexadecimal digits. Use it to import."),
            "account_uuid": optional(
                STRING, "UUID of the account that the key is for; by default the provider's own.", computed=True, keep=True,
                replace=True, validators=(validate.uuid,),
            ),
            "description": optional(
                STRING, "Any text, at most 2048 characters.", replace=True, validators=(validate.length(0, 2048),)
            ),
            FILE: required(
                STRING, "Path of the file that gets id and secret of the new key, for the provider's setting of that name: "
                "TOML that only its owner can read. It must not exist yet; it is written once, and removed with the key. "
                "Another path makes a new key. The secret is nowhere else, not in the state either.",
                validators=(validate.length(1, 4096), validate.matches(r"[^\0]+", "a path")),
            ),
            "access_key_id": computed(STRING, "Id of the key, which is no secret."),
        }
        | state("A disabled key opens nothing.")
        | timeouts(),
        "An access key of an account, with which a program signs its calls and needs no session.",
    )  # fmt: skip

    def modify_plan(self, plan: Plan) -> None:
        if plan.prior is None or not plan.changes(FILE):
            return
        if plan.prior[FILE] is not None:
            plan.replace.append((FILE,))
        else:  # imported
            detail = "The secret of a key is told once, when it is made: of an imported key no file is written."
            plan.diagnostics.warning("No credentials file", detail, (FILE,))

    def make(self, context: Context, planned: Object) -> str:
        client, notes = context.client, pending.here()
        path = Path(planned[FILE]).expanduser()
        call, route = self.create_api
        parameters = {name: planned[name] for name in self.creates_with if isinstance(planned[name], str)}
        wanted, limit = [client.endpoint, route, parameters, str(path)], self.limit("create", planned)
        survivor = notes.abandoned(wanted)
        if survivor is not None:
            found = client.find(self.collection, survivor.resource)
            if found is not None and _is_of(path, found["AccessKeyID"]):
                return survivor.resource
            self._remove(client, survivor.resource, limit)  # nobody knows its secret
            notes.forget(survivor.resource)
        if path.exists():
            detail = f"{path} may hold the secret of another key, which cannot be told again: move it away."
            raise Refused("The credentials file exists", detail, (FILE,))
        note = notes.begin(wanted)
        with notes.while_made(note):
            asked = {self.field(name): value for name, value in parameters.items()} | {"resourceUuid": note.resource}
            made = client.create(call, route, asked, job=note.job, timeout=limit)
            try:
                _write(path, client.endpoint, made)
            except OSError as error:
                self._remove(client, note.resource, limit)
                raise Refused("The credentials file cannot be written", f"{path}: {error.strerror}", (FILE,)) from error
        return note.resource

    def update(self, context: Context, prior: Object, planned: Object) -> Object:
        self._enable(context, prior["uuid"], prior["state"], planned, "update")
        return self._present(context, prior["uuid"], planned)

    def delete(self, context: Context, state: Object) -> None:
        self._remove(context.client, state["uuid"], self.limit("delete", state))
        path = Path(state[FILE] or os.devnull).expanduser()
        if state["access_key_id"] and _is_of(path, state["access_key_id"]):
            path.unlink(missing_ok=True)

    def _remove(self, client: ControlPlane, uuid: str, limit: float) -> None:
        client.delete(self.delete_api, f"/{self.collection}/{uuid}", timeout=limit)


def _write(path: Path, endpoint: str, made: Inventory) -> None:
    """Whole, and readable by its owner only from the first byte on."""
    told = {"endpoint": endpoint, "access_key_id": made["AccessKeyID"], "access_key_secret": made["AccessKeySecret"]}
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.writelines(f"{name} = {json.dumps(value)}\n" for name, value in told.items())


def _is_of(path: Path, access_key_id: str) -> bool:
    """Whether the file holds that key's secret."""
    try:
        return f"access_key_id = {json.dumps(access_key_id)}\n" in path.read_text()
    except (OSError, UnicodeError):
        return False
