"""What keeps a table from being read."""

MEND = "write it again with smaller row groups, or upload JSONL"


class BadTable(ValueError):
    """What is wrong with a row or the whole, and the mend, as the end of a sentence about the line
    or as a whole one."""

    def __init__(self, problem: str, mend: str, *, line: int | None = None) -> None:
        super().__init__(problem)
        self.problem, self.mend, self.line = problem, mend, line
