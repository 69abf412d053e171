"""Tags, accounts, sessions, keys, quotas, sharing, the audit record, web hooks, configuration."""

from sqlalchemy import Column, Index, Table, UniqueConstraint

from controlplane.store.tables import columns as c
from controlplane.store.text import head

for _tag in ("SystemTagVO", "UserTagVO"):
    c.resource(
        _tag,
        c.uuid("resource_uuid", null=False),
        c.text("resource_type", 64, null=False),
        c.long_text("tag"),
        c.text("type", 32),
        c.boolean("inherent"),
        index=("resource_uuid", c.BY_AGE),
    )
    Index(f"ix_{_tag}_head", head(c.table(_tag).c.tag), c.table(_tag).c.resource_uuid)

c.resource(
    "AccountVO",
    *c.named(),
    c.text("type", 64),
    c.text("password_hash"),  # salted; the form says with which function
    UniqueConstraint("name"),
)

c.resource(
    "SessionVO",
    c.text("token_hash", 128),
    c.uuid("account_uuid", null=False),
    c.uuid("user_uuid"),
    c.time("expired_date", null=False),
    UniqueConstraint("token_hash"),
    index=("account_uuid", "expired_date"),
)

c.resource(
    "ConsoleAccessVO",
    c.text("token_hash", 64, null=False),
    c.text("role", 16, null=False),  # token | session
    c.uuid("vm_instance_uuid", null=False),
    c.uuid("host_uuid"),
    c.text("kind", 16),
    c.time("expired_date", null=False),
    UniqueConstraint("token_hash"),
    index=("vm_instance_uuid",),
)

c.refs(
    "AccountResourceRefVO",  # to whom a resource belongs; parts of it (NICs, tags) follow it
    c.uuid("account_uuid", null=False),
    c.uuid("resource_uuid", null=False),
    c.text("resource_type", 64, null=False),
    UniqueConstraint("resource_uuid"),
    Index("ix_AccountResourceRefVO_account", "account_uuid", "resource_type", "resource_uuid"),
)

c.refs(
    "SharedResourceVO",  # who may see and use it besides its owner
    c.uuid("owner_account_uuid", null=False),
    c.uuid("receiver_account_uuid"),  # null: everybody (`to_public`)
    c.boolean("to_public"),
    c.uuid("resource_uuid", null=False),
    c.text("resource_type", 64, null=False),
    index=("resource_uuid", "receiver_account_uuid", "owner_account_uuid", "to_public"),
)

c.resource(
    "AccessKeyVO",
    c.text("description", 2048),
    c.uuid("account_uuid", null=False),
    c.uuid("user_uuid"),
    c.text("access_key_id", 20, null=False),
    c.text("sealed_secret", 512, null=False),  # encrypted under a key that is not in the database
    c.text("state", 32),
    UniqueConstraint("access_key_id"),
    index=("account_uuid",),
)

c.resource(
    "QuotaVO",
    c.text("name", null=False),
    c.uuid("identity_uuid", null=False),
    c.text("identity_type", 64),
    c.size("value"),
    UniqueConstraint("identity_uuid", "name"),
)

c.indexes(
    Table(
        "AuditVO",  # one row for each call that changes something, refused ones included
        c.metadata,
        Column("id", c.SERIAL, primary_key=True, autoincrement=True),
        c.text("api_name", 128, null=False),
        c.uuid("account_uuid"),
        c.text("account_name"),
        c.uuid("job_uuid"),
        c.text("resource_uuid", 64),
        c.text("resource_type", 64),
        c.text("client_ip", 64),
        c.long_text("request"),  # JSON, without secrets
        c.text("outcome", 16, null=False),
        c.text("error_code", 64),
        c.long_text("error"),
        Column("create_date", c.Utc, nullable=False, default=c.now),
        c.time("end_date"),
    ),
    ("account_uuid", "job_uuid", "resource_uuid", "create_date"),
)

c.refs(
    "WebHookVO",  # whom to tell that an operation has ended, until they know or have been told often enough
    c.uuid("operation_uuid", null=False),
    c.text("url", 2048, null=False),
    c.boolean("inward"),  # it may be on this machine
    c.integer("attempts"),
    c.time("due", null=False),
    UniqueConstraint("operation_uuid"),
)

c.refs(
    "GlobalConfigVO",
    c.text("name", null=False),
    c.text("category", 64, null=False),
    c.text("description", 2048),
    c.long_text("default_value"),
    c.long_text("value"),
    UniqueConstraint("category", "name"),
)
