"""The program `tunery`."""

from tunery._cli.app import app


def main() -> None:
    app()
