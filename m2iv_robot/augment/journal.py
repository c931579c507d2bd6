"""What became of each plan, on disk after each one, so that a later run of the same command knows."""

import dataclasses
import json
from pathlib import Path

from m2iv_robot.augment.records import Outcome
from m2iv_robot.errors import WriteError

JOURNAL_NAME = "journal.jsonl"


class Journal:
    """The outcomes of a run, by the key of the episode."""

    def __init__(self, folder: Path) -> None:
        """Read what is there.

        Raises:
            WriteError: the folder cannot be written.
        """
        self.path = folder / JOURNAL_NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
            text = self.path.read_text() if self.path.is_file() else ""
        except OSError as error:
            raise WriteError(f"{folder}: cannot be written ({error.strerror}); give a writable folder") from error
        lines = text[: text.rfind("\n") + 1].splitlines()  # a last line that was cut off is left out
        self.outcomes = {line["key"]: Outcome(**line) for line in map(json.loads, lines)}

    def note(self, outcome: Outcome) -> None:
        """Add an outcome, or replace the earlier one of its key."""
        self.outcomes[outcome.key] = outcome
        lines = [json.dumps(dataclasses.asdict(entry)) + "\n" for entry in self.outcomes.values()]
        partial = self.path.with_suffix(".partial")
        partial.write_text("".join(lines))
        partial.replace(self.path)
