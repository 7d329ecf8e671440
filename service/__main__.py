"""`python -m service` is `tunery-server`."""

from service.cli import main

main()
