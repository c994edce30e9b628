"""`regrow config`: shows regrow's own configuration, its schema, where it lies, and the kept openclaw.json files."""

from __future__ import annotations

from typing import Any

import click

from regrow.cli.place import Place, json_option, placed
from regrow.cli.words import clock, paint, remark, say, show_json


@click.group("config")
def command() -> None:
    """Show regrow's configuration, its schema, where it lies."""


@command.command("show")
@placed
@json_option
def show(place: Place, *, as_json: bool) -> int:
    """What is in force, with defaults, and where each setting comes from. Secrets are hidden.

    Exit code: 0, or 78 with every problem of the configuration.
    """
    from regrow.config.load import redacted

    loaded = place.load()
    values = redacted(loaded.config)
    if as_json:
        show_json({"path": loaded.path, "config": values, "sources": loaded.sources, "warnings": loaded.warnings})
        return 0
    say(f"# {loaded.path or 'no configuration file; these are the defaults'}")
    _show("", values, loaded.sources)
    for warning in loaded.warnings:
        remark(warning)
    return 0


@command.command("schema")
def schema() -> int:
    """The JSON Schema of the configuration file, for editors."""
    from regrow.config.schema import schema as made

    show_json(made())
    return 0


@command.command("path")
@placed
def path(place: Place) -> int:
    """Where the configuration file is looked for; it need not exist."""
    say(str(place.file))
    return 0


@command.command("kept")
@placed
@json_option
def kept(place: Place, *, as_json: bool) -> int:
    """The openclaw.json files that a gateway has served, newest first; `regrow doctor` can put one back.

    Exit code: 0, also when there is none yet.
    """
    from regrow.act.settings import ConfigStore

    found = ConfigStore(place.state / "kept").kept()[::-1]
    if as_json:
        show_json(
            [
                {
                    "digest": k.digest,
                    "version": k.version,
                    "at": round(k.at * 1000),
                    "path": k.path,
                    "composed": k.composed,
                }
                for k in found
            ]
        )
        return 0
    for one in found:
        parts = "  (several files, which regrow does not put back)" if one.composed else ""
        say(f"{one.digest[:12]}  OpenClaw {one.version:<12} {clock(one.at * 1000)}  {one.path}{parts}")
    if not found:
        say("none yet; one is stored whenever a gateway becomes ready with it")
    return 0


def _show(section: str, values: dict[str, Any], sources: dict[str, str]) -> None:
    plain = {key: value for key, value in values.items() if not isinstance(value, dict) or key == "env"}
    if section and plain:
        say(f"\n[{section}]")
    for key, value in plain.items():
        source = sources.get(f"{section}.{key}")
        told = f"{key} = {_toml(value)}" if value is not None else f"# {key} is not set"
        say(f"{told}  {paint(f'# {source}', 'dim')}" if source else told)
    for key, value in values.items():
        if key not in plain:
            _show(f"{section}.{key}" if section else key, value, sources)


def _toml(value: Any) -> str:
    import json

    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False, default=str)
