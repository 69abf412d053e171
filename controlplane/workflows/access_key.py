"""Enabling, disabling and deleting access keys. They are made in `services/access_key.py`: a secret is in that answer."""

from controlplane.contract.access_key import AccessKeyInventory, ChangeAccessKeyState, DeleteAccessKey
from controlplane.workflows.plain import Plain

KEY = Plain("AccessKeyVO", AccessKeyInventory)
KEY.changes_state(ChangeAccessKeyState)
KEY.deletes(DeleteAccessKey)
