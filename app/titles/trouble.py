"""What the disk refuses at the moment, in one sentence, and in the log once."""

import logging
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)

_FULL = ("disk is full", "No space left", "quota exceeded")  # as SQLite and strerror say it


class Trouble:
    """Why jobs do not go on. *folder* is where they are kept; *on_change* hears of every change."""

    def __init__(self, folder: Path, *, on_change: Callable[[], None]) -> None:
        self._folder = folder
        self._on_change = on_change
        self._sentences: dict[str, str] = {}  # by what was tried

    @property
    def sentence(self) -> str | None:
        """Value, rule, remedy; None when all is well."""
        return next(iter(self._sentences.values()), None)

    def note(self, attempt: str, error: Exception) -> None:
        """That failed; it is going to be tried again."""
        sentence = self.explain(error)
        if self._sentences.get(attempt) != sentence:
            log.error("%s", sentence)
            self._sentences[attempt] = sentence
            self._on_change()

    def clear(self, attempt: str) -> None:
        """That works."""
        if self._sentences.pop(attempt, None):
            log.info("the disk works again")
            self._on_change()

    def explain(self, error: Exception) -> str:
        """What is wrong, and what to do."""
        if any(words in str(error) for words in _FULL):
            return f"the disk of {self._folder} is full; make room, then titles go on by themselves"
        return (
            f"{self._folder} can't be written ({error}); make it writable, then titles go on by "
            "themselves"
        )
