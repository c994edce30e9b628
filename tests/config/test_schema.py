"""The schema names every setting, its limits and its meaning, and takes in the domains of other packages."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta, Struct

from regrow.config import reference, schema
from regrow.config.load import load
from regrow.config.reload import changes
from regrow.config.walk import struct_of
from regrow.decide.domains import base
from regrow.model.errors import ConfigError

PAGE = Path(__file__).parents[2] / "docs/configuration.md"


def settings(path: str, kind: type[Struct]) -> Iterator[tuple[str, Any]]:
    """Every setting below a section, with its type."""
    for f in msgspec.structs.fields(kind):
        nested = struct_of(f.type)
        if nested is None:
            yield f"{path}.{f.name}", f.type
        else:
            yield from settings(f"{path}.{f.name}", nested)


EVERY = dict(found for name, kind in schema.sections().items() for found in settings(name, kind))


@pytest.mark.parametrize("path", sorted(EVERY))
def test_every_setting_says_what_it_means(path: str):
    assert reference.describe(EVERY[path])


def test_the_page_is_what_the_schema_says():
    stale = "run `python -m regrow.config.reference > docs/configuration.md`"
    assert PAGE.read_text() == reference.page(), stale


def test_the_page_is_printed_by_running_the_module():
    done = subprocess.run([sys.executable, "-m", "regrow.config.reference"], capture_output=True, text=True, check=True)
    assert done.stdout == reference.page()


def test_the_page_shows_limits_choices_and_defaults():
    page = reference.page()
    assert "| `port` | whole number, 1 to 65535 |  |" in page
    assert '| `log_format` | `text` \\| `json` | `"text"` |' in page
    assert "| `args` | list of texts |  |" in page
    assert "## `[heal.liveness]`" in page


def test_the_json_schema_has_every_setting_with_its_limits():
    made = schema.schema()
    parts = made["$defs"]
    assert set(parts["GatewayConfig"]["properties"]) == {p.split(".")[1] for p in EVERY if p.startswith("gateway.")}
    assert parts["GatewayConfig"]["additionalProperties"] is False
    assert {"minimum": 1, "maximum": 65535, "type": "integer"} in [
        {k: v for k, v in option.items() if k != "description"}
        for option in parts["GatewayConfig"]["properties"]["port"]["anyOf"]
    ]
    assert set(parts["LivenessConfig"]["properties"]["mode"]["enum"]) == {"auto", "observe", "ask", "off"}
    msgspec.json.encode(made)


def test_a_type_that_no_file_can_hold_is_refused():
    with pytest.raises(NotImplementedError, match="cannot be a setting"):
        schema._in_schema(complex)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Pretend that a package with this module brings a domain."""
    monkeypatch.setattr(base, "_REGISTRY", dict(base._REGISTRY))
    monkeypatch.syspath_prepend(tmp_path)
    schema.heal_type.cache_clear()

    def installed(source: str) -> None:
        (tmp_path / "regrow_tides.py").write_text(source)
        entry = EntryPoint("tides", "regrow_tides", schema.GROUP)
        monkeypatch.setattr(schema, "_installed", lambda: [entry])

    yield installed
    sys.modules.pop("regrow_tides", None)
    schema.heal_type.cache_clear()


DOMAIN = """
from typing import Annotated
from msgspec import Meta, Struct
from regrow.decide.domains.base import DomainConfig, domain

class Moon(Struct, frozen=True, forbid_unknown_fields=True):
    phase: Annotated[int, Meta(ge=0, le=7, description="of eight")] = 0

class Tides(DomainConfig, frozen=True):
    low: Annotated[float, Meta(description="low water")] = 1.0
    high: Annotated[float, Meta(description="high water")] = 2.0
    names: Annotated[list[str], Meta(description="of gauges")] = []
    moon: Moon = Moon()

    def __post_init__(self):
        if self.low > self.high:
            raise ValueError("low is higher than high")

class State(Struct, frozen=True):
    pass

@domain("tides", state=State, config=Tides)
def step(state, fact, before, cx):
    return None
"""


def test_another_packages_domain_brings_its_section(installed, tmp_path: Path):
    installed(DOMAIN)
    path = tmp_path / "c.toml"
    path.write_text("[heal.tides]\nlow = 0.5\n[heal.tides.moon]\nphase = 3\n")
    loaded = load(path, {"REGROW_HEAL__TIDES__MODE": "ask", "REGROW_HEAL__TIDES__NAMES": '["Cuxhaven"]'})
    tides = loaded.config.domains()["tides"]
    assert (tides.low, tides.mode, tides.names, tides.moon.phase) == (0.5, "ask", ["Cuxhaven"], 3)  # type: ignore[attr-defined]
    assert "## `[heal.tides.moon]`" in reference.page()
    assert "| `names` | list |" in reference.page()
    changed = changes(load(None, {}).config, loaded.config)
    assert {c.path for c in changed} == {f"heal.tides.{name}" for name in ("low", "names", "moon.phase", "mode")}
    assert all(c.live for c in changed)
    path.write_text("[heal.tides]\nlow = 5\n[heal.tides.moon]\nphase = 9\n")
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert caught.value.problems == [
        "heal.tides.moon.phase: expected a whole number <= 7, got 9",
        "heal.tides: low is higher than high",
    ]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_module_anywhere", "ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
        ("raise RuntimeError('the moon is missing')", "RuntimeError: the moon is missing"),
        (DOMAIN.replace("] = 1.0", "]"), "TypeError: Missing required argument 'low'"),
    ],
)
def test_a_broken_package_is_one_clear_problem(installed, source: str, reason: str):
    installed(source)
    with pytest.raises(ConfigError) as caught:
        load(None, {})
    (problem,) = caught.value.problems
    assert problem.startswith("heal.tides: the domain of package ")
    assert reason in problem
    assert problem.endswith("update or uninstall that package")


def test_an_interrupt_while_a_package_loads_is_not_swallowed(installed):
    installed("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        schema.heal_type()


def test_packages_are_asked_by_the_groups_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    info = tmp_path / "tides-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tides\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[regrow.domains]\ntides = no_such_tides_module\n")
    monkeypatch.syspath_prepend(tmp_path)
    schema.heal_type.cache_clear()
    with pytest.raises(ConfigError, match=r"^heal\.tides: the domain of package tides 1\.0 cannot be loaded"):
        schema.heal_type()
    schema.heal_type.cache_clear()


def test_a_description_may_stand_at_either_level():
    inner = Annotated[int, Meta(description="inner")]
    assert reference.describe(Annotated[inner, Meta(ge=1)]) == "inner"
    assert reference.describe(int) == ""
    assert reference.describe(Annotated[int, Meta(ge=1)]) == ""
