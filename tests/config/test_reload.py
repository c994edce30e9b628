"""What changed between two configurations is named, with what it takes to make it effective."""

from __future__ import annotations

import pytest

from regrow.config.load import load
from regrow.config.reload import Change, changes


def test_nothing_changed():
    assert changes(load(None, {}).config, load(None, {}).config) == []


@pytest.mark.parametrize(
    ("variable", "value", "change", "live"),
    [
        ("REGROW_HEAL__LIVENESS__MODE", "off", Change("heal.liveness.mode", "at once"), True),
        ("REGROW_REGROW__LOG_LEVEL", "debug", Change("regrow.log_level", "regrow restart"), False),
        ("REGROW_REGROW__PROFILE", "classic", Change("regrow.profile", "regrow restart"), False),
        ("REGROW_GATEWAY__PORT", "5", Change("gateway.port", "regrow restart"), False),
        ("REGROW_GATEWAY__TOKEN", "abcdef", Change("gateway.token", "regrow restart"), False),
        ("REGROW_GATEWAY__ARGS", '["-v"]', Change("gateway.args", "next gateway start"), True),
    ],
)
def test_a_change_says_what_it_takes(variable: str, value: str, change: Change, live: bool):
    found = changes(load(None, {}).config, load(None, {variable: value}).config)
    assert found == [change]
    assert found[0].live is live


def test_several_changes_are_all_named_and_no_value_with_them():
    new = load(None, {"REGROW_GATEWAY__TOKEN": "s3cret-token", "REGROW_REGROW__NAME": "b"}).config
    found = changes(load(None, {}).config, new)
    assert [c.path for c in found] == ["gateway.token", "regrow.name"]
    assert "s3cret" not in repr(found)
