"""The rows of the table: what each policy learns from."""

from dataclasses import dataclass

from m2iv_robot.errors import ConfigError


@dataclass(frozen=True)
class Row:
    """One row: named sets of episodes, and whether LeRobot's image transforms are on."""

    letter: str
    title: str
    sets: tuple[str, ...]  # see `sets.py`
    balanced: bool = False  # the first set is repeated until it weighs as much as the second
    transforms: bool = False


ROWS = {
    row.letter: row
    for row in (
        Row("a", "real only", ("sources",)),
        Row("b", "real + LeRobot's image transforms", ("sources",), transforms=True),
        Row("c", "real + generated, 1:1", ("sources", "generated"), balanced=True),
        Row("d", "real + generated without the gate", ("sources", "ungated"), balanced=True),
        Row("e", "upper bound: as many real ones over the whole table", ("everywhere",)),
        Row("f", "label ceiling: real + planned motions rendered by the simulator", ("sources", "planned"), True),
        Row("g", "real + planned motions with cut-and-paste video", ("sources", "pasted"), balanced=True),
        Row("h", "real + more real ones in the unseen half", ("sources", "taught")),
    )
}


def row_of(letter: str) -> Row:
    """The row of that letter.

    Raises:
        ConfigError: there is none.
    """
    if letter not in ROWS:
        raise ConfigError(f"there is no row {letter!r}; rows are {', '.join(ROWS)}")
    return ROWS[letter]
