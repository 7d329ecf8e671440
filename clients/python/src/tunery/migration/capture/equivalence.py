"""How like the old model's answers the new one's are."""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rapidfuzz.fuzz import ratio

from tunery.migration.capture.prompts import Prompt
from tunery.migration.capture.replay import Answer


@dataclass(frozen=True)
class Comparison:
    """Two answers to one prompt."""

    prompt: str
    old: str
    new: str

    @property
    def is_exact(self) -> bool:
        return self.old.strip() == self.new.strip()

    @property
    def similarity(self) -> float:
        """1 minus the insertions and deletions between the two, as a share of their characters."""
        return ratio(self.old, self.new) / 100

    @property
    def token_f1(self) -> float:
        """Of their words, without order, as SQuAD measures answers."""
        old, new = Counter(self.old.lower().split()), Counter(self.new.lower().split())
        shared = (old & new).total()
        if not shared:
            return float(not old and not new)
        precision, recall = shared / new.total(), shared / old.total()
        return 2 * precision * recall / (precision + recall)


@dataclass(frozen=True)
class Equivalence:
    """Means over the prompts that neither model was trained on."""

    model: str
    prompts: int
    exact: float
    similarity: float
    token_f1: float
    table: Path
    """CSV, a line a prompt, the least alike first."""


def compare(
    model: str,
    prompts: Sequence[Prompt],
    old: Mapping[str, Answer],
    new: Mapping[str, Answer],
    table: Path,
) -> Equivalence:
    """Write the table, and sum it up. `model` is the old one."""
    compared = [Comparison(p.last_text, old[p.key].text, new[p.key].text) for p in prompts]
    compared.sort(key=lambda each: (each.similarity, each.prompt))
    _write(compared, table)
    count = len(compared)
    return Equivalence(
        model,
        count,
        sum(each.is_exact for each in compared) / count,
        sum(each.similarity for each in compared) / count,
        sum(each.token_f1 for each in compared) / count,
        table,
    )


def _write(compared: Sequence[Comparison], table: Path) -> None:
    beside = table.with_name(f"{table.name}.part")
    with beside.open("w", encoding="utf-8", errors="surrogatepass", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["prompt", "old", "new", "exact", "similarity", "token_f1"])
        for each in compared:
            numbers = (f"{each.similarity:.4f}", f"{each.token_f1:.4f}")
            writer.writerow([each.prompt, each.old, each.new, int(each.is_exact), *numbers])
    beside.replace(table)
