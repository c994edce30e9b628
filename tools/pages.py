"""Writes the documentation that is made from the program: commands, configuration, the README's table."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from regrow.cli import COMMANDS, cli
from regrow.config import reference

ROOT = Path(__file__).resolve().parent.parent
TABLE = re.compile(r"(?<=<!-- commands -->\n).*?(?=<!-- /commands -->)", re.DOTALL)


INTRODUCTION = """`regrow run` tends one gateway. The other commands talk to it over a socket that only you can open,
or read what it wrote. Every command has `--help`, and they complete in your shell: `regrow completion --help`.
"""

SHARED = """## What they share

**Which keeper.** `--name` (or `REGROW_NAME`) picks one of several keepers on a machine; `--config` (or `REGROW_CONFIG`)
another configuration file. A sandbox is the keeper named `sandbox`.

**For programs.** `--json` prints JSON on standard output and nothing else there; what is meant for people goes to
standard error. Times are milliseconds since 1970. Colours appear on terminals only, and not with `NO_COLOR`.

**Waiting.** A request that cannot be granted at once is queued, and says until when. `start`, `stop`, `restart` and
`reload` wait for the end; Ctrl-C leaves the request standing, `--no-wait` does not wait at all.

**Exit codes.**

| code | meaning |
|---|---|
| 0 | done; for `status`: healthy |
| 1 | refused or failed, the gateway answered with an error; for `status`: degraded |
| 2 | for `status` and `top`: down |
| 3 | no keeper is running, or it does not answer |
| 64 | the command line is wrong |
| 69 | it cannot be had: no OpenClaw, no service manager, no journal |
| 75 | it failed for now, or another keeper of this name is at work; the same may succeed later |
| 78 | the configuration, or the machine, has problems; all of them are listed |
| 130 | ended by Ctrl-C |

**The configuration while running.** SIGHUP has a running keeper read its configuration again; what needs a restart of
regrow is named.
"""


def commands() -> str:
    """`docs/commands.md`: a table, what commands share, and each one's help."""
    parts = [
        "# Commands\n",
        "<!-- Written by `make docs`; a test compares. -->\n",
        INTRODUCTION,
        "| command | what it does |\n|---|---|\n"
        + "".join(f"| [`{name}`](#regrow-{name}) | {text} |\n" for name, text in COMMANDS.items()),
        SHARED,
    ]
    for name, command in _walk():
        context = click.Context(command, info_name=f"regrow {name}", terminal_width=100)
        context.help_option_names = ["-h", "--help"]
        command._help_option = None  # noqa: SLF001  (click keeps the first one made, with other names perhaps)
        parts.append(f"## regrow {name}\n\n```text\n{command.get_help(context).rstrip()}\n```\n")
    return "\n".join(parts)


def readme() -> str:
    """`README.md` as it is, with a current table of commands."""
    rows = "".join(f"| [`{name}`](docs/commands.md#regrow-{name}) | {text} |\n" for name, text in COMMANDS.items())
    return TABLE.sub(lambda _: f"| command | what it does |\n|---|---|\n{rows}", (ROOT / "README.md").read_text())


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


PAGES = {"docs/configuration.md": reference.page, "docs/commands.md": commands, "README.md": readme}


def main() -> int:
    """Write those that changed."""
    for name, page in PAGES.items():
        text = page()
        file = ROOT / name
        if not file.exists() or file.read_text() != text:
            file.write_text(text)
            print(f"{name} is written", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
