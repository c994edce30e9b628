"""What a real gateway is given to work with: providers, agents, a Telegram, crons, a plugin that throws."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rig.provider import Provider
from rig.telegram import BOT_TOKEN, Telegram

_BROKEN = {  # where it throws: the program
    "load": 'throw new Error("rig: the module exploded");\n',
    "register": 'export default {{ id: "{id}", register() {{ throw new Error("rig: register exploded"); }} }};\n',
    "never": 'export default {{ id: "{id}", register(api) {{ api.logger?.info?.("rig: {id} is here"); }} }};\n',
}


def providers(provider: Provider, *names: str, models: Sequence[str] = ("m1", "m2")) -> dict[str, Any]:
    """`models` of an openclaw.json: each name is a provider of its own, with a key of its own."""
    free = {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0}
    return {
        "mode": "merge",
        "providers": {
            name: {
                "baseUrl": provider.base(name),
                "apiKey": f"sk-test-{name}",
                "api": "openai-completions",
                "models": [
                    {
                        "id": model, "name": f"{name} {model}", "reasoning": False, "input": ["text"], "cost": free,
                        "contextWindow": 128_000, "maxTokens": 4096,
                    }
                    for model in models
                ],
            }
            for name in names
        },
    }  # fmt: skip


def outfit(
    provider: Provider,
    agents: Mapping[str, Sequence[str]],
    *,
    names: Sequence[str] = (),
    telegram: Telegram | None = None,
    plugins: Mapping[str, Path] = {},
    **more: Any,
) -> dict[str, Any]:
    """An openclaw.json (what `RealGateway(config=…)` takes).

    Args:
        provider: Where the models are.
        agents: Agent id to its models, the primary first: `{"main": ("fakea/m1", "fakeb/m1")}`.
        names: Providers that no agent names.
        telegram: The channel, open to everybody.
        plugins: Plugin id to its folder; see `plugin`.
        more: Further top-level sections.
    """
    used = {model.split("/")[0] for chain in agents.values() for model in chain}
    config: dict[str, Any] = {
        "models": providers(provider, *sorted(used | set(names))),
        "agents": {
            "entries": {
                name: {"model": {"primary": chain[0], "fallbacks": list(chain[1:])}} for name, chain in agents.items()
            },
        },
    }
    if telegram is not None:
        config["channels"] = {
            "telegram": {
                "enabled": True,
                "botToken": BOT_TOKEN,
                "apiRoot": telegram.root,
                "dmPolicy": "open",
                "allowFrom": ["*"],
                "network": {"dangerouslyAllowPrivateNetwork": True},
            },
        }
    if plugins:
        config["plugins"] = {
            "load": {"paths": [str(path) for path in plugins.values()]},
            "entries": {name: {"enabled": True} for name in plugins},
        }
    return config | more


def plugin(folder: Path, name: str, *, throws: str = "load", program: str | None = None) -> Path:
    """Write a plugin and give its folder.

    Args:
        folder: Where plugins of this test go.
        name: Its id.
        throws: `load`, `register` or `never`.
        program: Its program, instead of one of these.
    """
    home = folder / name
    home.mkdir(parents=True)
    (home / "package.json").write_text(
        json.dumps({"name": name, "version": "1.0.0", "type": "module", "openclaw": {"extensions": ["./index.js"]}})
    )
    (home / "openclaw.plugin.json").write_text(
        json.dumps(
            {
                "id": name,
                "name": name,
                "activation": {"onStartup": True},
                "configSchema": {"type": "object", "additionalProperties": False},
            }
        )
    )
    text = program or _BROKEN[throws]
    (home / "index.js").write_text(text if program else text.format(id=name) if "{{" in text else text)
    return home
