"""A naive query in memory: what the store's query must answer, without SQL, indexes or a thought for speed."""

import re
from datetime import UTC, datetime, timedelta

from controlplane.contract.queryable import PARTS, TAGS, fields, lists, relations, table_name
from controlplane.store import tables
from controlplane.store.relations import LISTS

NEGATIVE = {"!=": "=", "not in": "in", "not like": "like"}


def lower(text):
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)


def comparable(value):
    return lower(value) if isinstance(value, str) else value


class World:
    """`rows` maps a table's name to its rows (dicts)."""

    def __init__(self, rows):
        self.rows = rows

    def answer(self, message):
        """The keys of the rows in their order, and the total."""
        table = table_name(message.resource)
        found = [row for row in self.rows[table] if all(self.holds(table, row, one) for one in message.conditions)]
        if message.resource in PARTS:
            found = [row for row in found if row["type"] == PARTS[message.resource][1]]
        (key,) = (column.name for column in tables.table(table).primary_key)
        if message.group_by:
            groups = {}
            for row in sorted(found, key=lambda row: row[key]):
                groups.setdefault(comparable(row[fields(table)[message.group_by]]), row)
            found = list(groups.values())
        found.sort(key=lambda row: row[key])
        column = fields(table)[message.sort_by] if message.sort_by else "create_date"
        descending = message.sort_by is not None and message.sort_direction == "desc"
        nulls = [row for row in found if row[column] is None]
        rest = sorted(
            (row for row in found if row[column] is not None),
            key=lambda row: comparable(row[column]),
            reverse=False,
        )
        if descending:  # the order among equals stays that of the key
            rest = sorted(rest, key=lambda row: comparable(row[column]), reverse=True)
        ordered = rest + nulls if descending else nulls + rest
        return [row[key] for row in ordered[message.start :][: message.limit]], len(found)

    def holds(self, table, row, wanted):
        return self.follow(table, row, wanted.name.split("."), wanted.op, wanted.value)

    def follow(self, table, row, path, op, value):
        name = path[0]
        if len(path) > 1:
            relation = relations(table)[name]
            ends = [row[relation.own]]
            if relation.through:
                refs = self.rows[relation.through.table]
                ends = [ref[relation.through.theirs] for ref in refs if ref[relation.through.own] == row[relation.own]]
            return any(
                self.follow(relation.target, other, path[1:], op, value)
                for other in self.rows[relation.target]
                if other[relation.theirs] in ends and other[relation.theirs] is not None
            )
        if name in TAGS:
            tags = [
                tag["tag"]
                for tag in self.rows[TAGS[name]]
                if tag["resource_uuid"] == row["uuid"] and tag["resource_type"] == table
            ]
            if value is None:
                return bool(tags) == (op == "is not null")
            if op in NEGATIVE:
                return not any(compare(tag, NEGATIVE[op], value) for tag in tags)
            return any(compare(tag, op, value) for tag in tags)
        if name in lists(table):
            shown = LISTS[table][lists(table)[name]]
            elements = [part[shown.value] for part in self.rows[shown.table] if part[shown.theirs] == row["uuid"]]
            if value is None:
                return bool(elements) == (op == "is not null")
            return any(compare(element, op, value) for element in elements)
        return compare(row[fields(table)[name]], op, value)


def compare(stored, op, text):
    if text is None:
        return (stored is None) == (op == "is null")
    if stored is None:
        return False
    if op in NEGATIVE:
        return not compare(stored, NEGATIVE[op], text)
    if op == "in":
        return any(compare(stored, "=", part.strip()) for part in text.split(","))
    if op == "like":
        return re.fullmatch(pattern(lower(text)), lower(stored), re.DOTALL) is not None
    value = convert(stored, text)
    if isinstance(stored, datetime) and not value.microsecond:
        stored = stored.replace(microsecond=0)  # a date without fraction is compared with dates as they are shown
    return {
        "=": lambda a, b: a == b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
        "<": lambda a, b: a < b, "<=": lambda a, b: a <= b,
    }[op](comparable(stored), value)  # fmt: skip


def convert(stored, text):
    if isinstance(stored, bool):
        return text.lower() in ("true", "1")
    if isinstance(stored, int):
        return int(text)
    if isinstance(stored, datetime):
        return datetime.fromisoformat(text).astimezone(UTC)
    return lower(text)


def pattern(text):
    out, position = "", 0
    while position < len(text):
        letter = text[position]
        if letter == "\\" and position + 1 < len(text):
            position += 1
            out += re.escape(text[position])
        else:
            out += {"%": ".*", "_": "."}.get(letter, re.escape(letter))
        position += 1
    return out


BEGIN = datetime(2026, 1, 30, 15, 1, 3, tzinfo=UTC)


def moment(number):
    """Several in one second, some at its very beginning."""
    return BEGIN + timedelta(microseconds=500_000 * (number % 7))
