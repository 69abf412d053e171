"""Validators say what is wrong; durations are read exactly."""

import pytest

from provider.framework import validate


@pytest.mark.parametrize(
    ("validator", "good", "bad"),
    [
        (validate.uuid, "0" * 32, "0" * 31),
        (validate.uuid, "ab" * 16, "AB" * 16),
        (validate.ipv4, "10.0.0.1", "10.0.0.256"),
        (validate.cidr, "10.0.0.0/24", "10.0.0.1/24"),
        (validate.netmask, "255.255.255.0", "255.0.255.0"),
        (validate.duration, "1h30m", "1.5h"),
        (validate.duration, "45s", ""),
        (validate.length(1, 3), "abc", ""),
        (validate.between(1, 3), 3, 3.5),
        (validate.one_of("a", "b"), "a", "A"),
        (validate.each(validate.ipv4), ["10.0.0.1"], ["10.0.0.1", None]),
        (validate.distinct, ["a", "b"], ["a", "a"]),
        (validate.filled, ["a"], []),
    ],
)
def test_validators(validator, good, bad):
    assert validator(good) is None
    complaint = validator(bad)
    assert complaint and complaint.endswith((".", ")"))


def test_durations_in_seconds():
    assert [validate.seconds(text) for text in ("90s", "2m", "1h1m1s")] == [90, 120, 3661]
