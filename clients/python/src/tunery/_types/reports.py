"""What is in data: reports on files, previews of rows."""

from pydantic import Field

from tunery._types.base import APIObject
from tunery._types.operations import Operation


class Finding(APIObject):
    """Something to know about a line, or with `line` None about the whole file."""

    line: int | None = None
    code: str
    severity: str
    """error, warning or info."""
    message: str
    fix: str | None = None
    """What to do."""


class FindingCount(APIObject):
    """How often something was found."""

    code: str
    severity: str
    count: int


class FileReportResult(APIObject):
    """What a file holds for a model and a way to train."""

    model: str
    methods: list[str]
    """Those that train on such rows."""
    rows: int
    usable_rows: int
    tokens: int
    trained_tokens: int
    longest_row_tokens: int
    errors: int
    warnings: int
    counts: list[FindingCount] = Field(default_factory=list)
    findings: list[Finding] = Field(default_factory=list)
    has_more: bool = False


class FileReport(Operation):
    """An examination of a file; `result` is None until it is finished."""

    file_id: str
    result: FileReportResult | None = None


class Cut(APIObject):
    """What over_length took away."""

    tokens: int
    text: str


class PreviewSequence(APIObject):
    """Tokens that the model is trained on together."""

    name: str
    """`row`, or of a preference `preferred` and `rejected`."""
    rendered: str
    token_ids: list[int]
    token_texts: list[str]
    weights: list[float]
    """How much each token's prediction is trained; 0 is not at all."""
    num_tokens: int
    num_trained_tokens: int
    cut: Cut | None = None


class PreviewRow(APIObject):
    """A row that would be trained on."""

    line: int
    sequences: list[PreviewSequence]


class Preview(APIObject):
    """Rows as a job would train on them, and what was found in them."""

    model: str
    method: str
    max_seq_length: int
    rows: list[PreviewRow]
    findings: list[Finding] = Field(default_factory=list)
    has_more: bool = False
