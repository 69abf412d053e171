from controlplane.services import throttle
from controlplane.services.throttle import Throttle


def failed(times, at=0.0):
    guard = Throttle()
    for _ in range(times):
        guard.failed("key", at)
    return guard


def test_a_few_failures_cost_nothing():
    assert failed(4).wait("key", 0.0) == 0


def test_each_further_failure_costs_more_up_to_a_limit():
    assert [failed(times).wait("key", 0.0) for times in (5, 6, 8, 50)] == [1, 2, 8, 60]


def test_time_and_success_forget():
    guard = failed(50)
    assert guard.wait("key", 61.0) == 0
    guard.failed("key", 61.0)
    assert guard.wait("key", 61.0) == 60
    guard.failed("key", 2000.0)
    assert guard.wait("key", 2000.0) == 0
    guard = failed(50)
    guard.succeeded("key")
    assert guard.wait("key", 0.0) == 0


def test_keys_are_apart():
    assert failed(50).wait("other", 0.0) == 0


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(throttle, "_MAX_KEYS", 3)
    guard = Throttle()
    for key in range(10):
        guard.failed(key, 0.0)
    assert list(guard._failures) == [7, 8, 9]
