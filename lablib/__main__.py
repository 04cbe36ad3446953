"""`python -m lablib` is the command line."""

from lablib.cli import main

main()
