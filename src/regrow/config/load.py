"""TOML and environment in; a Config or every problem at once out."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec
from msgspec import Struct

from regrow.config.redaction import redact, redact_argv
from regrow.config.schema import HIDDEN, Config, RegrowConfig, Secret, sections
from regrow.config.walk import read_section, suggestion
from regrow.model.errors import ConfigError

PREFIX = "REGROW_"
FILE = "config.toml"


class Loaded(Struct, frozen=True, kw_only=True):
    """A configuration and where it came from.

    Attributes:
        config: The settings.
        path: The file that was read, or None if there is none.
        sources: For every setting that is not a default, where it was set: the file, a variable, or `command line`.
        warnings: What works and should nevertheless be changed.
        token: The gateway's access token if one is configured, from wherever it is kept.
    """

    config: Config
    path: Path | None = None
    sources: dict[str, str] = {}
    warnings: tuple[str, ...] = ()
    token: Secret | None = None


def default_path(environ: Mapping[str, str] = os.environ) -> Path:
    """The configuration that is read when neither `--config` nor `REGROW_CONFIG` names one."""
    home = environ.get("REGROW_HOME")
    if home:
        return Path(home).expanduser().absolute() / FILE
    import platformdirs

    return Path(platformdirs.user_config_dir("regrow", appauthor=False)) / FILE


def load(
    path: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    overrides: Mapping[str, Any] | None = None,
) -> Loaded:
    """Read the configuration; without any file or variable everything has its default.

    Args:
        path: The file named by the user; it must exist. Else `REGROW_CONFIG`, else the usual place if it exists.
        environ: `REGROW_<SECTION>__<KEY>` overrides the file.
        overrides: `{"regrow.dry_run": True}` from the command line, stronger than both.

    Raises:
        ConfigError: With every problem there is.
    """
    found, table, problems = _file(path, environ)
    sources: dict[str, str] = {}
    for dotted in _leaves(table, ()):
        sources[".".join(dotted)] = str(found)
    base = found.parent if found else Path.cwd()
    texts = dict(_variables(environ, sections(), problems))
    values: dict[str, Struct] = {}
    problems += _unknown_sections(table)
    for name, kind in sections().items():
        values[name] = read_section(
            name, kind, table.get(name, {}), texts=texts, direct=overrides or {}, base=base, problems=problems
        )
    sources |= {dotted: variable for dotted, (variable, _) in texts.items()}
    sources |= dict.fromkeys(overrides or {}, "command line")
    config = Config(**cast("dict[str, Any]", values))
    problems += _contradictions(config)
    token, warnings = _token(config, environ, problems)
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    if found is not None and _holds_secret(table) and _readable_by_others(found):
        warnings.append(f"{found} holds a secret and others can read it: run `chmod 600 {found}`")
    return Loaded(config=config, path=found, sources=sources, warnings=tuple(warnings), token=token)


def keeper(
    path: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    overrides: Mapping[str, Any] | None = None,
) -> RegrowConfig:
    """Only `[regrow]`: enough to find a running keeper, quickly, and also when other sections are broken.

    Args:
        path: As for `load`.
        environ: As for `load`.
        overrides: As for `load`.

    Raises:
        ConfigError: The file cannot be read, or that section has problems.
    """
    found, table, problems = _file(path, environ)
    known = {"regrow": RegrowConfig}
    texts = dict(_variables(environ, known, problems=[]))
    base = found.parent if found else Path.cwd()
    config = read_section(
        "regrow", RegrowConfig, table.get("regrow", {}), texts=texts, direct=overrides or {}, base=base,
        problems=problems,
    )  # fmt: skip
    if problems:
        raise ConfigError(problems)
    return cast("RegrowConfig", config)


def redacted(config: Config) -> dict[str, Any]:
    """The configuration as plain values for people: secrets and values of `gateway.env` hidden."""
    plain: dict[str, Any] = msgspec.to_builtins(config, enc_hook=str)
    gateway = plain["gateway"]
    gateway["env"] = dict.fromkeys(gateway["env"], HIDDEN)
    gateway["args"] = redact_argv(gateway["args"])
    if gateway["url"] is not None:
        gateway["url"] = redact(gateway["url"])
    return plain


def _file(path: Path | None, environ: Mapping[str, str]) -> tuple[Path | None, dict[str, Any], list[str]]:
    named = path or (Path(environ["REGROW_CONFIG"]) if environ.get("REGROW_CONFIG") else None)
    found = (named or default_path(environ)).expanduser().absolute()
    try:
        text = found.read_bytes().decode("utf-8-sig")
        return found, tomllib.loads(text), []
    except FileNotFoundError:
        if named is None:
            return None, {}, []
        return found, {}, [f"{found}: there is no such file; leave out --config and REGROW_CONFIG to use the defaults"]
    except OSError as error:
        return found, {}, [f"{found}: cannot be read ({error.strerror or error})"]
    except UnicodeDecodeError as error:
        return found, {}, [f"{found}: is not UTF-8 text (byte {error.start + 1})"]
    except tomllib.TOMLDecodeError as error:
        return found, {}, [f"{found}: is not valid TOML: {error}"]


def _leaves(table: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for key, value in table.items():
        if isinstance(value, Mapping) and (*above, key) != ("gateway", "env"):
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key)


def _variables(
    environ: Mapping[str, str], known: Mapping[str, type[Struct]], problems: list[str]
) -> Iterator[tuple[str, tuple[str, str]]]:
    """Dotted path → (variable, its text) for every `REGROW_<SECTION>__<KEY>`; an empty one counts as not set."""
    for variable, text in sorted(environ.items()):
        section, sep, rest = variable.removeprefix(PREFIX).lower().partition("__")
        if not variable.startswith(PREFIX) or not sep or not rest:
            continue
        if section in known:
            if text:
                yield f"{section}.{rest.replace('__', '.')}", (variable, text)
        elif hint := suggestion(section, known):
            problems.append(f"{variable}: there is no section {section!r}{hint}")


def _unknown_sections(table: Mapping[str, Any]) -> list[str]:
    known = sections()
    return [
        f"{name}: there is no such {'section' if isinstance(value, dict) else 'setting'}{suggestion(name, known)}"
        for name, value in table.items()
        if name not in known
    ]


def _contradictions(config: Config) -> list[str]:
    gateway = config.gateway
    problems: list[str] = []
    tokens = [key for key in ("token", "token_file", "token_env") if getattr(gateway, key) is not None]
    if len(tokens) > 1:
        problems.append(f"gateway.{tokens[1]}: there is also gateway.{tokens[0]}; keep one of them")
    if gateway.url is not None:
        if gateway.mode in {"own", "service"}:
            problems.append('gateway.url: only attaching uses it; remove it, or set gateway.mode = "attach"')
        if gateway.port is not None:
            problems.append("gateway.port: gateway.url already says where the gateway is; keep one of them")
        if re.search(r"://[^/]*@|[?&#](token|password)=", gateway.url):
            problems.append("gateway.url: must not hold a token or password; use gateway.token_file")
    if gateway.unit is not None and gateway.mode in {"own", "attach"}:
        problems.append('gateway.unit: only a service has one; remove it, or set gateway.mode = "service"')
    problems += [*config.healing.problems(), *config.github.problems()]
    for settings in config.domains().values():
        problems += settings.problems()
    return problems


def _token(config: Config, environ: Mapping[str, str], problems: list[str]) -> tuple[Secret | None, list[str]]:
    gateway = config.gateway
    text: str | None = None
    warnings: list[str] = []
    where = "gateway.token"
    if gateway.token is not None:
        text = gateway.token.reveal()
    elif gateway.token_file is not None:
        where = "gateway.token_file"
        try:
            text = gateway.token_file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            problems.append(f"{where}: {gateway.token_file} cannot be read ({reason})")
            return None, warnings
        if _readable_by_others(gateway.token_file):
            warnings.append(f"others can read {gateway.token_file}: run `chmod 600 {gateway.token_file}`")
    elif gateway.token_env is not None:
        where = "gateway.token_env"
        text = environ.get(gateway.token_env, "")
    if text is None:
        return None, warnings
    text = text.strip()
    if not text:
        problems.append(f"{where}: the token is empty; remove the setting if the gateway has none")
    elif any(not 32 < ord(letter) < 127 for letter in text):
        problems.append(f"{where}: a token is one line of letters, digits and signs, without spaces")
    return Secret(text), warnings


def _holds_secret(table: Mapping[str, Any]) -> bool:
    gateway = table.get("gateway", {})
    return bool(gateway.get("token") or gateway.get("env"))


def _readable_by_others(path: Path) -> bool:
    try:
        return os.name == "posix" and bool(stat.S_IMODE(path.stat().st_mode) & 0o077)
    except OSError:
        return False
