"""The restart policy keeps its promises in the comparison with others."""

import importlib.util
import sys
from pathlib import Path

import pytest

PLACE = Path(__file__).parents[2] / "benchmarks" / "policy.py"


@pytest.fixture(scope="module")
def policy():
    spec = importlib.util.spec_from_file_location("regrow_policy_benchmark", PLACE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.parametrize("seed", [1, 2])
def test_never_lost_bounded_and_prompt_at_once(policy, seed):
    tally = policy.compare(policy.Regrow, policy.outages(80, seed))
    assert tally.lost == 0
    assert tally.starts <= 60
    assert tally.median <= 45


def test_told_that_the_cause_is_gone_it_is_back_after_one_boot(policy):
    tally = policy.compare(policy.Regrow, policy.outages(80, 1), wake=True)
    assert tally.lost == 0
    assert tally.median == policy.BOOT


def test_the_models_of_others_behave_as_documented(policy):
    sample = policy.outages(80, 1)
    others = {name: policy.compare(make, sample) for name, make in policy.POLICIES.items()}
    assert others["systemd default (0.1 s)"].starts > 200
    assert others["OpenClaw's unit (5 s, 5 in 60 s)"].lost > 0
    assert others["ClawX (10 tries)"].lost > 0
    assert others["kubernetes"].median > 100
    assert others["runit"].lost == others["docker"].lost == 0


def test_the_table_names_everybody(policy, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["policy.py", "10", "3"])
    policy.main()
    said = capsys.readouterr().out
    assert all(f"| {name} |" in said for name in policy.POLICIES)
