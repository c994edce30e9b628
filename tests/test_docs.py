"""The documentation is complete and true: generated parts are current, what it names exists, what it shows runs."""

import ast
import importlib.util
import re
import shlex
import typing
from functools import cache
from pathlib import Path
from types import ModuleType

import click
import pytest

from regrow.cli import cli
from regrow.config.load import load
from regrow.decide.domains.liveness import LivenessConfig
from regrow.decide.profiles import DEFAULT
from regrow.decide.supervise import ailing, boots, governor, hang
from regrow.decide.supervise.budget import KILL_GAP, KILLS_PER_HOUR
from regrow.model.verdicts import Result

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
SOURCES = sorted((ROOT / "src" / "regrow").rglob("*.py"))
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
TELLING = {"publish", "_publish", "say", "_say", "_tell", "_note", "Note", "hear"}


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def prose(page: Path) -> str:
    return re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)


@cache
def trees() -> tuple[tuple[Path, ast.Module], ...]:
    return tuple((file, ast.parse(file.read_text())) for file in SOURCES)


@pytest.mark.parametrize("name", ["docs/configuration.md", "docs/commands.md", "README.md"])
def test_a_generated_page_is_current(name: str) -> None:
    assert (ROOT / name).read_text() == tool("pages").PAGES[name](), "run: make docs"


def test_the_picture_is_what_top_shows() -> None:
    assert (DOCS / "top.svg").read_text() == tool("picture").svg(), "run: make docs"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_link_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    broken = []
    for link in targets:
        path, _, anchor = link.partition("#")
        there = page.parent / path if path else page
        if "://" in link:
            continue
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(link)
    assert not broken


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_index_names_every_page() -> None:
    index = (DOCS / "README.md").read_text()
    missing = [str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md") if page.name != "README.md"]
    assert not [name for name in missing if f"({name})" not in index]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_example_configuration_loads(page: Path, tmp_path: Path) -> None:
    for number, block in enumerate(blocks(page, "toml")):
        file = tmp_path / f"{number}.toml"
        file.write_text(re.sub(r'"~/[\w./-]*token"', '"token"', block))
        (tmp_path / "token").write_text("t")
        (tmp_path / "token").chmod(0o600)
        assert load(file, {}).path == file


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_python_example_compiles(page: Path) -> None:
    for block in blocks(page, "python"):
        compile(block, str(page), "exec")


def command_lines(page: Path) -> list[str]:
    shown = [line.strip() for block in blocks(page, "sh") for line in block.splitlines()]
    named = re.findall(r"`(regrow [^`\n]+)`", prose(page))
    return [line for line in (*shown, *named) if line.startswith("regrow ")]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_line_is_one(page: Path) -> None:
    for line in command_lines(page):
        try:
            accept(cli, shlex.split(line, comments=True)[1:])
        except click.ClickException as error:
            pytest.fail(f"{line}: {error.format_message()}")


def accept(command: click.Command, words: list[str]) -> None:
    """Have the command parse its words, and its own commands theirs; nothing is carried out."""
    if isinstance(command, click.Group) and words and not words[0].startswith("-"):
        inner = command.get_command(click.Context(command), words[0])
        if inner is None:
            raise click.UsageError(f"there is no {words[0]}")
        accept(inner, words[1:])
    elif not {"--help", "--version"} & set(words):
        command.make_context(command.name, list(words))


def test_a_wrong_command_line_would_be_found() -> None:
    for line in ("nonsense", "run --no-such", "config nonsense", "restart --delay many"):
        with pytest.raises(click.ClickException):
            accept(cli, line.split())


def test_make_targets_that_are_named_exist() -> None:
    made = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {word for page in PAGES for word in re.findall(r"(?:`|^)make ([a-z-]+)", page.read_text(), re.MULTILINE)}
    assert {"run", "test", "check"} <= named <= made


def events_told() -> set[str]:
    told: set[str] = set()
    for file, tree in trees():
        if {"testing", "cli"} & set(file.parts):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and node.args and _name(node.func) in TELLING:
                told |= _types(node.args[0])
        told |= set(re.findall(r'"((?:channel|chat|gateway|tool|runtime):[a-z]+)"', file.read_text()))
    return {name for name in told if re.fullmatch(r"[a-z]+(?::[a-z-]+)?", name)}


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _types(node: ast.expr) -> set[str]:
    if isinstance(node, ast.Constant):
        return {str(node.value)}
    if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
        start = str(node.values[0].value)
        return {f"{start}{result}" for result in typing.get_args(Result)} if start == "action:" else set()
    return set()


def test_every_event_is_explained() -> None:
    told = events_told()
    assert {"status", "gateway:ready", "action:would", "episode:opened", "chat:final", "journal:degraded"} <= told
    page = (DOCS / "events.md").read_text()
    assert sorted(name for name in told if f"`{name}`" not in page) == []


def test_every_event_that_is_explained_is_told() -> None:
    explained = set(re.findall(r"`([a-z]+:[a-z-]+)`", (DOCS / "events.md").read_text()))
    assert explained <= events_told() | {"events:skipped"}


@cache
def texts() -> str:
    """Every text in the program, with a gap where a value is put in."""
    found = []
    for _, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(str(p.value) if isinstance(p, ast.Constant) else "\0" for p in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found).replace("`", "")


def test_every_message_that_is_quoted_exists() -> None:
    quoted = re.findall(r"^\| `([^`]+)`", (DOCS / "troubleshooting.md").read_text(), re.MULTILINE)
    assert len(quoted) > 20
    parts = [part.strip() for message in quoted for part in message.split("…")]
    assert [part for part in parts if part not in texts()] == []


def test_the_figures_are_those_of_the_program() -> None:
    p = DEFAULT
    page = " ".join((DOCS / "how-it-decides.md").read_text().split())
    for phrase in (
        f"within {numbers(p.probe_within)} seconds",
        f"A boot may take {LivenessConfig().start_budget:.0f} s",
        f"extends that by {boots.PROGRESS_GRACE:.0f} s, up to {boots.HARD_CAP:.0f} s",
        f"After a SIGKILL it is {boots.AFTER_KILL:.0f} s at least",
        f"The probe looks every {p.probe_every:.0f} s",
        f"two looks {hang.STOPPED_SPAN:.0f} s apart",
        f"{numbers(p.misses_suspect)} probes without an answer over {p.suspect_span:.0f} s",
        f"that fails too, it is hung | after {hang.IDLE_SILENCE:.0f} s",
        f"then asked | after {hang.BUSY_SILENCE:.0f} s",
        f"ended {ailing.AFTER_REVIVE:.0f} s later if that did not help | after {ailing.DEAF:.0f} s",
        f"within {hang.SICK_FOR:.0f} s after our own host",
        f"{p.stop_budget:.0f} s when planned, {ailing.DEAF_BUDGET:.0f} s when nobody listens",
        f"{p.hung_budget:.0f} s when proven hung",
        f"once per {KILL_GAP / 60:.0f} minutes and {('', 'once', 'twice')[KILLS_PER_HOUR]} per hour",
        f"until {p.update_settled:.0f} s without a change",
        f"{p.restart_gap} s between two automatic starts",
        f"more than {governor.BOOT_FAILURES} deaths before ready within {governor.BOOT_WINDOW / 60:.0f} minutes",
        f"the same crash {numbers(governor.SAME_CAUSE)} times",
        f"one try every {governor.FASTEST:.0f} to {governor.SLOWEST:.0f} s",
        f"{governor.SHARE:.0%} of a core".replace("%", " %"),
        f"the pause doubles up to {p.reconnect_cap:.0f} s",
        f"tried every {p.reconnect_slow / 2:.0f} to {p.reconnect_slow:.0f} s",
    ):
        assert phrase in page, phrase


def numbers(value: float) -> str:
    return ("none", "one", "two", "three", "four", "five")[int(value)]
