"""What a claim is, and what the data say of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Judgement:
    """What one source of data says of a claim.

    Attributes
    ----------
    verdict : str
        One of `tables.verdicts.VERDICTS`.
    figure : str
        The figure in a few words, for a table.
    sentence : str
        Figure, null and interval in full.
    """

    verdict: str
    figure: str
    sentence: str


@dataclass(frozen=True)
class Claim:
    """A claim and how it is judged.

    Attributes
    ----------
    name, title : str
        ``title`` is the claim in a sentence.
    paper : str
        Its figure in the paper; empty for a question of ours.
    rule : str
        What has to hold for ``supported``.
    section : str
        Of `measure.SECTIONS`.
    ask : callable
        From the figures of the section to a `Judgement`.
    dated : str
        When the rule was written down.
    words : str
        The claim in a few words, for a list; its title unless given.
    """

    name: str
    title: str
    paper: str
    rule: str
    section: str
    ask: Callable[[Mapping[str, Any]], Judgement]
    dated: str = "2026-11-27"
    words: str = ""

    @property
    def short(self) -> str:
        """The claim in a few words."""
        return self.words or self.title.rstrip(".")
