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
