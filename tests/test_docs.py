"""The documentation is complete and true: generated pages are current, links lead somewhere, names are explained."""

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])


def load_pages() -> dict[str, object]:
    spec = importlib.util.spec_from_file_location("pages", ROOT / "tools" / "pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.PAGES


@pytest.mark.parametrize("name", ["configuration.md", "commands.md"])
def test_a_generated_page_is_current(name: str) -> None:
    page = load_pages()[name]
    assert (DOCS / name).read_text() == page(), "run: make docs"  # type: ignore[operator]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    broken = [link for link in targets if "://" not in link and not (page.parent / link).exists()]
    assert not broken


def test_the_index_names_every_page() -> None:
    index = (DOCS / "README.md").read_text()
    missing = [str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md") if page.name != "README.md"]
    assert not [name for name in missing if f"({name})" not in index]


def test_every_example_configuration_parses() -> None:
    for page in PAGES:
        for block in re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL):
            tomllib.loads(block)


def test_every_event_is_explained() -> None:
    names: set[str] = set()
    for file in (ROOT / "src" / "regrow").rglob("*.py"):
        names |= set(re.findall(r'"((?:channel|chat|gateway|tool|runtime):[a-z]+)"', file.read_text()))
    assert names
    pages = "\n".join(page.read_text() for page in DOCS.rglob("*.md"))
    assert sorted(name for name in names if f"`{name}`" not in pages) == []
