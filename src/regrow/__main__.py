"""Lets `python -m regrow` do what `regrow` does."""

from regrow.cli import main

main()
