"""Writes the documentation pages that are made from the program: commands and configuration."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from regrow.cli import cli
from regrow.config import reference

DOCS = Path(__file__).resolve().parent.parent / "docs"


def commands() -> str:
    """`docs/commands.md`: every command with its help, exit codes included."""
    parts = [
        "# Commands\n",
        "<!-- Written by `make docs`; a test compares. -->\n",
        "Every command has `--help`. What a program might read is printed as JSON with `--json`.\n",
    ]
    for name, command in _walk():
        context = click.Context(command, info_name=f"regrow {name}", terminal_width=100)
        parts.append(f"## regrow {name}\n\n```text\n{command.get_help(context).rstrip()}\n```\n")
    return "\n".join(parts)


def _walk() -> list[tuple[str, click.Command]]:
    root = cli
    context = click.Context(root, info_name="regrow")
    found = []
    for name in root.list_commands(context):
        try:
            command = root.get_command(context, name)
        except ModuleNotFoundError:
            continue
        if command is None or command.hidden:
            continue
        found.append((name, command))
        if isinstance(command, click.Group):
            inner = click.Context(command, info_name=name, parent=context)
            found += [
                (f"{name} {sub}", one)
                for sub in command.list_commands(inner)
                if (one := command.get_command(inner, sub))
            ]
    return found


PAGES = {"configuration.md": reference.page, "commands.md": commands}


def main() -> int:
    """Write those that changed."""
    DOCS.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        text = page()
        file = DOCS / name
        if not file.exists() or file.read_text() != text:
            file.write_text(text)
            print(f"docs/{name} is written", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
