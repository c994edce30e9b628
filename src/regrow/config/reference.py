"""Writes docs/configuration.md from the schema: `python -m regrow.config.reference > docs/configuration.md`."""

from __future__ import annotations

import sys
import typing
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from regrow.config.reload import applies
from regrow.config.schema import sections
from regrow.config.walk import choices, options, struct_of

_HEAD = """# Configuration

<!-- Written by `python -m regrow.config.reference > docs/configuration.md`; a test compares. -->

regrow needs no configuration. What you do set lies in one TOML file: the one named by `--config`, else by the
variable `REGROW_CONFIG`, else `config.toml` in regrow's configuration directory (`regrow config path` prints it).

Every setting is also a variable, `REGROW_<SECTION>__<KEY>`, which wins over the file:
`REGROW_GATEWAY__PORT=18790`, `REGROW_HEAL__LIVENESS__MODE=observe`. Lists and tables are written as JSON. An empty
variable counts as not set. `~` is your home directory; in the file, relative paths begin at the file.

`regrow check` lists every problem at once, `regrow config show` what is set and where, secrets hidden, and
`regrow config schema` prints a JSON Schema for your editor.

*Takes effect* tells what a change of a running regrow needs: nothing, the next start of the gateway, or a restart of
regrow (which leaves the gateway alone with `leave_running`).
"""

_EXAMPLE = """
## Example

```toml
[gateway]
state_dir = "~/.openclaw"
token_file = "~/.config/regrow/token"

[regrow]
log_format = "json"

[heal.settings]
restore = "auto"
```
"""


def page() -> str:
    """The whole page."""
    parts = [_HEAD, _EXAMPLE.lstrip("\n")]
    for name, kind in sections().items():
        parts += _tables(name, kind)
    return "\n".join(parts)


def _tables(path: str, kind: type[Struct]) -> list[str]:
    rows: list[str] = []
    below: list[str] = []
    for f in msgspec.structs.fields(kind):
        nested = struct_of(f.type)
        if nested is not None:
            below += _tables(f"{path}.{f.name}", nested)
            continue
        default = f.default_factory() if f.default is msgspec.NODEFAULT else f.default
        cells = (f"`{f.name}`", _kind(f.type), _default(default), describe(f.type), applies(f"{path}.{f.name}"))
        rows.append(f"| {' | '.join(cells)} |")
    if not rows:
        return below
    title = f"## `[{path}]`\n"
    head = "| setting | value | default | meaning | takes effect |\n|---|---|---|---|---|"
    return [title, "\n".join([head, *rows]) + "\n", *below]


def describe(kind: Any) -> str:
    """The description of a setting, or "" if its author gave none."""
    if typing.get_origin(kind) is typing.Annotated:
        metas = [m for m in kind.__metadata__ if isinstance(m, msgspec.Meta) and m.description]
        return (metas[-1].description or "") if metas else describe(kind.__origin__)
    return ""


def _kind(kind: Any) -> str:
    names = choices(kind)
    if names:
        return " \\| ".join(f"`{name}`" for name in names)
    words: dict[Any, str] = {int: "whole number", float: "number", bool: "true or false", Path: "path"}
    option = next(option for option in options(kind) if option is not type(None))
    origin = typing.get_origin(option) or option
    word = {tuple: "list of texts", list: "list", dict: "table of texts"}.get(origin) or words.get(option, "text")
    return f"{word}{_limits(kind)}"


def _limits(kind: Any) -> str:
    """`, 1 to 65535`, wherever in the annotation it stands."""
    metas = list(getattr(kind, "__metadata__", ())) if typing.get_origin(kind) is typing.Annotated else []
    for part in typing.get_args(kind):
        metas += list(getattr(part, "__metadata__", ()))
        for inner in typing.get_args(part):
            metas += list(getattr(inner, "__metadata__", ()))
    low = next((m.ge for m in metas if isinstance(m, msgspec.Meta) and m.ge is not None), None)
    high = next((m.le for m in metas if isinstance(m, msgspec.Meta) and m.le is not None), None)
    return f", {low:g} to {high:g}" if low is not None and high is not None else ""


def _default(value: Any) -> str:
    if value is None or value in ((), {}, []):
        return ""
    return f"`{msgspec.json.encode(value).decode()}`"


if __name__ == "__main__":
    sys.stdout.write(page())
