"""Turns tables and texts into typed settings field by field, so that every mistake is found, not only the first."""

from __future__ import annotations

import difflib
import json
import re
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from regrow.config.redaction import redact
from regrow.config.schema import Secret

Texts = Mapping[str, tuple[str, str]]  # dotted path → (variable, its text)


def suggestion(wrong: str, right: Iterable[str]) -> str:
    """`; did you mean 'port'?`, or "" if nothing is near."""
    names = list(right)
    near = difflib.get_close_matches(wrong.lower().replace("-", "_"), names, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def read_section(
    path: str,
    kind: type[Struct],
    table: Any,
    *,
    texts: Texts,
    direct: Mapping[str, Any],
    base: Path,
    problems: list[str],
) -> Struct:
    """One struct from its table and what overrides it.

    Args:
        path: The dotted name of the section, for messages.
        kind: The struct to make.
        table: What the file holds at this place.
        texts: Environment variables by dotted path; they win over the file.
        direct: Typed values by dotted path; they win over both.
        base: What relative paths of the file are relative to.
        problems: Mistakes are added here; the affected settings keep their defaults.
    """
    fields = {f.name: f for f in msgspec.structs.fields(kind)}
    if not isinstance(table, Mapping):
        problems.append(f"{path}: is a section; write it as [{path}] with its settings below")
        table = {}
    problems += [
        f"{path}.{key}: there is no such setting{suggestion(key, fields)}" for key in table if key not in fields
    ]
    problems += _strangers(path, fields, {dotted: variable for dotted, (variable, _) in texts.items()})
    problems += _strangers(path, fields, {dotted: dotted for dotted in direct})
    values: dict[str, Any] = {}
    for name, one in fields.items():
        here = f"{path}.{name}"
        nested = struct_of(one.type)
        if nested is not None:
            values[name] = read_section(
                here, nested, table.get(name, {}), texts=texts, direct=direct, base=base, problems=problems
            )
            continue
        if here in direct:
            given, named, start = direct[here], here, Path.cwd()
        elif here in texts:
            named, start = texts[here][0], Path.cwd()
            given = _from_text(texts[here][1], one.type)
        elif name in table:
            given, named, start = table[name], here, base
        else:
            continue
        try:
            values[name] = msgspec.convert(
                given, one.type, strict=here not in texts or here in direct, dec_hook=_Decode(start)
            )
        except msgspec.ValidationError as error:
            problems.append(_problem(named, error, given, one.type))
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:  # a domain of another package may check its settings together
        problems.append(f"{path}: {error}")
        return kind()


def _strangers(path: str, fields: Mapping[str, Any], given: Mapping[str, str]) -> list[str]:
    """What is set below `path` and is no setting there. `given`: dotted path → the name it was given by."""
    problems: list[str] = []
    for dotted, named in given.items():
        if not dotted.startswith(f"{path}."):
            continue
        head, _, rest = dotted.removeprefix(f"{path}.").partition(".")
        section = head in fields and struct_of(fields[head].type) is not None
        if section and not rest:
            problems.append(f"{named}: is a section; set what is in it one by one, as {named}__<KEY>")
        elif head not in fields or (rest and not section):
            problems.append(f"{named}: there is no such setting{suggestion(head, fields)}")
    return problems


def struct_of(kind: Any) -> type[Struct] | None:
    """The struct behind a field's type, if it is one."""
    while typing.get_origin(kind) is typing.Annotated:
        kind = kind.__origin__
    return kind if isinstance(kind, type) and issubclass(kind, Struct) else None


def options(kind: Any) -> list[Any]:
    """The plain types a field may have: annotations and unions taken apart."""
    if typing.get_origin(kind) is typing.Annotated:
        return options(kind.__origin__)
    if typing.get_origin(kind) in {typing.Union, types.UnionType}:
        return [option for part in typing.get_args(kind) for option in options(part)]
    return [kind]


def choices(kind: Any) -> list[str]:
    """The values a setting may have, if they can be listed."""
    found = [option for option in options(kind) if typing.get_origin(option) is typing.Literal]
    return [str(choice) for option in found for choice in typing.get_args(option)]


def _from_text(text: str, kind: Any) -> Any:
    """A variable's text as a value: JSON for lists and tables, else the text, which is then read by its type."""
    origins = {typing.get_origin(option) or option for option in options(kind)}
    if origins & {list, tuple, dict, set, frozenset}:
        try:
            return json.loads(text)
        except ValueError:
            return text
    if bool in origins:
        return {"yes": True, "on": True, "no": False, "off": False}.get(text.lower(), text)
    return text


class _Decode:
    """Makes paths and secrets from text, which msgspec does not do by itself."""

    def __init__(self, base: Path) -> None:
        self._base = base

    def __call__(self, kind: type, value: Any) -> Any:
        if not isinstance(value, str):
            raise TypeError("Expected `str`")
        if kind is Secret:
            return Secret(value)
        if not value or "\0" in value:
            raise ValueError("Expected a path")
        try:
            return self._base / Path(value).expanduser()
        except RuntimeError as error:
            raise ValueError("Expected a path; the home directory of that user is unknown") from error


def _problem(named: str, error: msgspec.ValidationError, given: Any, kind: Any) -> str:
    reason, _, at = str(error).partition(" - at `$")
    where = re.sub(r"\[\.\.\.\]", "", at.rstrip("`"))
    names = choices(kind)
    if names and isinstance(given, str):
        near = suggestion(given, names)
        return f"{named}{where}: expected one of {', '.join(names)}, got {_shown(given)}{near}"
    reason = re.sub(r", got `\w+`$", "", reason)
    reason = reason[:1].lower() + reason[1:].replace("`str`", "a text").replace("`int`", "a whole number").replace(
        "`float`", "a number"
    ).replace("`bool`", "true or false").replace("`array`", "a list").replace("`object`", "a table").replace(
        " | null", ""
    )
    if {Secret, dict, tuple, list} & {typing.get_origin(option) or option for option in options(kind)}:
        return f"{named}{where}: {reason}"  # what was given may be a secret, or hold one
    return f"{named}{where}: {reason}, got {_shown(given)}"


def _shown(value: Any) -> str:
    text = repr(redact(value)) if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"
