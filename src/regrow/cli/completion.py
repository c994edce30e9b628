"""`regrow completion`: prints the script that completes commands in a shell."""

from __future__ import annotations

import click

from regrow.cli.words import say


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(*, shell: str) -> int:
    """Print the script that completes regrow's commands in your SHELL.

    \b
    bash:  echo 'eval "$(regrow completion bash)"' >> ~/.bashrc
    zsh:   echo 'eval "$(regrow completion zsh)"' >> ~/.zshrc
    fish:  regrow completion fish > ~/.config/fish/completions/regrow.fish
    """
    from click.shell_completion import get_completion_class

    from regrow.cli import cli

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101  (the choice above names only those that exist)
    made = kind(cli, {}, "regrow", "_REGROW_COMPLETE")
    # the template itself: `source()` would first run the shell to learn its version
    say(made.source_template % made.source_vars())
    return 0
