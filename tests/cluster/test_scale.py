"""The simulation of benches/scale, at a hundredth of its size."""

import importlib.util

import pytest

from conftest import ROOT


@pytest.fixture
def simulate():
    spec = importlib.util.spec_from_file_location("simulate", ROOT / "benches/scale/simulate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.OBJECTS, module.TASKS, module.MEAN_LIFE_S = 10_000, 400, 300.0
    return module


@pytest.mark.parametrize("speculation", [False, True])
@pytest.mark.parametrize("shards", [10, 100, 400])
def test_every_task_is_committed_whatever_is_lost(simulate, shards, speculation):
    outcomes = [simulate.simulate(seed, shards, 10, speculation, 1) for seed in range(5)]
    assert outcomes == [simulate.simulate(seed, shards, 10, speculation, 1) for seed in range(5)]
    assert all(0 < outcome.efficiency < 1 and outcome.attempts >= 0.9 * shards for outcome in outcomes)
    assert sum(outcome.lost for outcome in outcomes) > 0 and max(outcome.wasted_share for outcome in outcomes) > 0


def test_without_trouble_it_takes_what_it_takes(simulate, monkeypatch):
    monkeypatch.setattr(simulate, "MEAN_LIFE_S", 1e12)
    monkeypatch.setattr(simulate, "SLOW_SHARE", 0.0)
    monkeypatch.setattr(simulate, "START_S", 0.0)
    monkeypatch.setattr(simulate, "SECONDS_A_COMMIT", 0.0)
    seconds, _ = simulate.logs(0)
    (one, many) = (simulate.simulate(0, shards, 1, False, 1) for shards in (1, 20))
    reading = simulate.SECONDS_A_SHARD + simulate.OBJECTS * simulate.SECONDS_A_PLANNED_OBJECT
    assert one.hours * 3600 == pytest.approx(sum(seconds) + reading)
    assert many.hours * 3600 == pytest.approx(sum(seconds) + 20 * reading)
    assert one.wasted_share == pytest.approx(0) and many.attempts == 20
