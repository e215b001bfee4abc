"""`python -m journey` is `journey`."""

from journey.cli import main

main()
