"""The tree keeps its shape: small files, small functions, a sentence each, honest names, no addresses."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TREES = {"src": 400, "tools": 400, "benchmarks": 400, "tests": 700}
FUNCTION = 60
VAGUE = ("Manager", "Helper", "Util", "Utils", "Handler", "Service")
ADDRESS = re.compile(r"\b(?:registry|files|deb)\.[a-z-]+\.(?:org|com|net)\b|\bpypi\.[a-z]+\b")


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    names = done.stdout.split("\0") if done.returncode == 0 else []
    files = [ROOT / name for name in names if name]
    return [file for file in files if file.is_file()] or [
        file for tree in TREES for file in (ROOT / tree).rglob("*.py")
    ]


SOURCES = sorted(file for file in tracked() if file.suffix == ".py")


def ident(file: Path) -> str:
    return str(file.relative_to(ROOT))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("file", SOURCES, ids=ident)
def test_a_file_is_small_and_says_what_it_is(file: Path) -> None:
    text = file.read_text()
    cap = TREES.get(file.relative_to(ROOT).parts[0], 400)
    assert len(text.splitlines()) <= cap, f"more than {cap} lines: split it by what it is about"
    tree = ast.parse(text)
    sentence = (ast.get_docstring(tree) or "").split("\n")[0]
    assert sentence.endswith((".", ":", "?", ".)")), (
        "the first line of its docstring is not a sentence that says what it is"
    )
    long = [f"{one.name} ({size} lines)" for one in functions(tree) if (size := length(one)) > FUNCTION]
    assert not long, f"functions longer than {FUNCTION} lines: {long}"
    vague = [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name.endswith(VAGUE)]
    assert not vague, f"names that say nothing: {vague}"


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Its lines without its docstring: explaining is not what the cap is against."""
    lines = (function.end_lineno or 0) - function.lineno + 1
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        lines -= (first.end_lineno or 0) - first.lineno + 1
    return lines


@pytest.mark.parametrize("file", [file for file in SOURCES if file.is_relative_to(ROOT / "src")], ids=ident)
def test_only_two_places_swallow_any_exception(file: Path) -> None:
    if file.name in {"keep.py", "executor.py"}:
        return
    for node in ast.walk(ast.parse(file.read_text())):
        broad = isinstance(node, ast.ExceptHandler) and isinstance(node.type, ast.Name)
        assert not (broad and node.type.id in {"Exception", "BaseException"} and not raises(node)), (
            f"line {node.lineno}"
        )


def raises(node: ast.AST) -> bool:
    return any(isinstance(inner, ast.Raise) for inner in ast.walk(node))


def test_no_address_of_a_registry_is_written_down() -> None:
    found = []
    for file in tracked():
        try:
            text = file.read_text()
        except UnicodeDecodeError:
            continue
        found += [f"{ident(file)}: {match[0]}" for match in ADDRESS.finditer(text)]
    assert not found
    assert ADDRESS.search("https://{}.example.org".format("registry"))


def test_every_room_is_named_in_the_architecture_page() -> None:
    page = (ROOT / "docs" / "how-it-is-built.md").read_text()
    rooms = {
        file.parent.name
        for file in SOURCES
        if file.is_relative_to(ROOT / "src" / "regrow") and file.name == "__init__.py"
    }
    missing = [room for room in sorted(rooms - {"regrow"}) if f"`{room}/`" not in page]
    assert not missing
