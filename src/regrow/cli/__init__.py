"""The command line: one file per command, and only the chosen one's is imported."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

import click

import regrow
from regrow.cli.words import complain
from regrow.model.errors import ConfigError, Fatal, RegrowError, Retryable
from regrow.serve.client import NoAnswer, NotRunning

USAGE = 64  # status uses 2 for "down", so a mistyped command must not
CONFIGURATION = 78
TRY_AGAIN = 75
UNAVAILABLE = 69
NO_KEEPER = 3
INTERRUPTED = 130
PIPE_CLOSED = 141

COMMANDS = {
    "run": "Keep a gateway alive, in the foreground.",
    "status": "How the gateway is, at a glance.",
    "top": "The same, live.",
    "start": "Start the gateway, and want it running from now on.",
    "stop": "Stop the gateway; it stays stopped until `regrow start`.",
    "restart": "Restart the gateway without losing what it is at.",
    "reload": "Have the gateway read its settings and secrets again.",
    "adopt": "Let regrow act on a gateway that it found running.",
    "episodes": "What was wrong, what was tried, how it ended.",
    "why": "Why regrow did something, or did not.",
    "proposals": "What waits for your decision.",
    "approve": "Let regrow do what it proposed.",
    "reject": "Turn a proposal down.",
    "actions": "What regrow did, and what of it can be undone.",
    "undo": "Put back what regrow changed.",
    "pause": "Keep regrow's hands off, for maintenance.",
    "resume": "End a pause.",
    "simulate": "What another configuration would have done with the past.",
    "logs": "What the gateway printed, or regrow itself.",
    "events": "What happened, as lines or JSON.",
    "rpc": "Call a method of the gateway.",
    "check": "Find every problem of configuration and machine at once.",
    "doctor": "Explain what could be repaired; repair it when told to.",
    "install": "Install OpenClaw for regrow, several versions side by side.",
    "service": "Have systemd or launchd run regrow.",
    "config": "Show regrow's configuration, its schema, where it lies.",
    "completion": "Print the script that completes commands in your shell.",
}


class Commands(click.Group):
    """A group that imports a command when it is called, not before."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """The names, in the order people need them."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a file of this folder."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"regrow.cli.{cmd_name}").command
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing all of them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one is near."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else "; see `regrow --help`"
            ctx.fail(f"there is no command {args[0]!r}{hint}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
)
@click.version_option(regrow.__version__, prog_name="regrow", message="%(prog)s %(version)s")
def cli() -> None:
    """Keep an OpenClaw gateway alive: see what goes wrong, heal it, prove it.

    `regrow run` does the work; the other commands talk to it.
    """


def main(args: list[str] | None = None) -> None:
    """Run the command line and end the process with the exit code."""
    try:
        code = _run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # whoever read us has had enough; Python would complain once more when it closes stdout
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = PIPE_CLOSED
    sys.exit(code)


def _run(args: list[str] | None) -> int:
    try:
        result: Any = cli.main(args, prog_name="regrow", standalone_mode=False)
    except click.UsageError as error:
        error.show()
        return USAGE
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except RegrowError as error:
        complain(str(error))
        return exit_code(error)
    return result if isinstance(result, int) else 0


def exit_code(error: RegrowError) -> int:
    """The exit code that says what kind of failure it was."""
    match error:
        case ConfigError():
            return CONFIGURATION
        case Retryable():
            return TRY_AGAIN
        case Fatal():
            return UNAVAILABLE
        case NotRunning() | NoAnswer():
            return NO_KEEPER
        case _:
            return 1
