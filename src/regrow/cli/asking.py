"""Asks the keeper for something and stays with the request until it is done, refused or left standing."""

from __future__ import annotations

import getpass
from typing import Any

from regrow.cli.place import Place
from regrow.cli.words import clock, complain, now, paint, remark, say, show_json
from regrow.serve.client import NoAnswer, ask

FIRST_WORD = 5.0  # seconds `--no-wait` waits for the keeper to say something


def request(place: Place, verb: str, *, wait: bool = True, as_json: bool = False, **fields: Any) -> int:
    """Hand a request to the keeper and print what becomes of it.

    Returns:
        0 done (or handed over, without waiting), 1 refused or failed, 130 left standing by Ctrl-C.
    """
    wish = {"op": "ask", "verb": verb, "by": _who(), **{key: value for key, value in fields.items() if value}}
    try:
        for answer in ask(place.socket, wish, patience=None if wait else FIRST_WORD):
            if "reply" not in answer:
                return refused(answer, as_json=as_json)
            reply = answer["reply"]
            if as_json:
                show_json(reply, indent=None)
            else:
                _tell(reply)
            if reply.get("state") != "queued":
                return 0 if reply.get("state") == "done" else 1
            if not wait:
                return 0
    except KeyboardInterrupt:
        remark(f"\nthe request stands; `regrow status{place.option}` shows what becomes of it")
        return 130
    except NoAnswer:
        if wait:
            raise
        remark("the request was handed over")
        return 0
    complain(f"the keeper ended before it answered; see `regrow status{place.option}`")
    return 3


def refused(answer: dict[str, Any], *, as_json: bool = False) -> int:
    """Print an error answer on the error stream."""
    error = answer.get("error")
    if not isinstance(error, dict):
        error = {"code": "BAD_ANSWER", "message": "the keeper's answer makes no sense; is it of another version?"}
    if as_json:
        show_json({"error": error}, indent=None)
    complain(f"{error.get('code', 'ERROR')}: {error.get('message', '')}")
    return 1


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "cli"  # no such user in the password file, as in some containers


def _tell(reply: dict[str, Any]) -> None:
    state, text = reply.get("state"), reply.get("text", "")
    match state:
        case "queued":
            until = f" until {clock(reply['until'])}" if (reply.get("until") or 0) > (now() + 1) * 1000 else ""
            say(f"{paint(f'queued{until}', 'warn')}: {text}")
        case "done":
            say(f"{paint('done', 'good')}: {text}")
        case _:
            complain(f"{state}: {text}")
