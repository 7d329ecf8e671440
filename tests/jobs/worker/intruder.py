"""What an intruder might name as a callback."""


def fail(*_: object) -> None:
    raise AssertionError("a callback out of Redis was run")
