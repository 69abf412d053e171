"""The operations engine's own: nodes, operations, steps."""

from sqlalchemy import Column, Index, Table, UniqueConstraint

from controlplane.store.tables import columns as c

c.resource(
    "ManagementNodeVO",
    c.text("host_name"),
    c.size("generation"),
    c.size("expires"),  # end of the lease, milliseconds since 1970 by the database's clock
)

c.refs(
    "OperationVO",
    c.uuid("uuid", null=False),
    c.text("name", null=False),
    c.integer("version"),
    c.long_text("arguments"),
    c.text("state", 16, null=False),
    c.text("queue"),
    c.integer("queue_limit", default=1),
    c.uuid("account_uuid"),  # for whom
    c.uuid("owner"),  # the node that runs it, under that generation
    c.size("owner_generation"),
    c.boolean("cancelled"),  # asked for; decided when `verdict` is set
    c.text("verdict", 16),
    c.long_text("started"),  # JSON list: the steps begun when the verdict fell
    c.long_text("result"),
    c.long_text("error"),
    c.long_text("stuck"),
    UniqueConstraint("uuid"),
    Index("ix_OperationVO_state_owner", "state", "owner"),
    Index("ix_OperationVO_queue_state", "queue", "state"),
)

Table(
    "OperationStepVO",
    c.metadata,
    Column("operation_uuid", c.string(32), primary_key=True),
    Column("name", c.string(255), primary_key=True),
    c.integer("number"),
    c.long_text("output"),
    c.boolean("undone"),
)
