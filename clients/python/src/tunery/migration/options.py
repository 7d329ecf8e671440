"""What the person who migrates may choose."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tunery.migration.capture import CaptureOptions


@dataclass(frozen=True)
class MigrationOptions:
    """How an organisation is carried over."""

    bases: Mapping[str, str] = field(default_factory=dict)
    """Base here by base there; one that is known here under its old name needs no entry."""
    given_files: Mapping[str, Path] = field(default_factory=dict)
    """Copies on this disk of data sets that the source has no more, by their ids there."""
    only_jobs: frozenset[str] | None = None
    all_files: bool = False
    """Also data sets that no job needs."""
    keep_hyperparameters: bool = True
    """False: chosen here anew, since another base may want others."""
    dry_run: bool = False
    wait: bool = True
    """For the jobs here, whose models only then get the old names."""
    retry_failed: bool = False
    """Make jobs again that failed or were cancelled here."""
    poll_seconds: float = 5.0
    capture: CaptureOptions | None = None
    """Train on the old models' answers in the place of the data sets."""
    on_progress: Callable[[str], object] = lambda _line: None
    """Hears what is being done."""
