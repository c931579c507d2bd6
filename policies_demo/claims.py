"""What the proof must show, checked against the rows."""

from policies_demo.statistics import Rate, difference

SEEN_LOSS = 0.05  # the seen half may lose so much against real data alone


def claims(records: dict[str, dict]) -> list[dict]:
    """Each claim that the rows at hand can settle: what it says, what was measured, whether it holds."""
    rates = {
        letter: {part: Rate(one["successes"], one["attempts"]) for part, one in record["rates"].items()}
        for letter, record in records.items()
    }
    checked = [
        _at_least(rates, "e", "all", 0.70),
        _at_least(rates, "f", "unseen", 0.60),
        _share_of(rates, "f", 0.70),
        _at_least(rates, "c", "unseen", 0.40),
        _share_of(rates, "c", 0.60),
        *(_above(rates, "c", other) for other in "bdg"),
        _keeps(rates),
    ]
    return [one for one in checked if one is not None]


def _at_least(rates: dict, letter: str, part: str, least: float) -> dict | None:
    if letter not in rates:
        return None
    share = rates[letter][part].share
    where = "in all" if part == "all" else f"on the {part} half"
    return _claim(f"row {letter} succeeds in at least {least:.0%} {where}", f"{share:.0%}", share >= least)


def _share_of(rates: dict, letter: str, least: float) -> dict | None:
    if letter not in rates or "e" not in rates:
        return None
    share, best = rates[letter]["unseen"].share, rates["e"]["unseen"].share
    text = f"row {letter} reaches at least {least:.0%} of row e on the unseen half"
    return _claim(text, f"{share:.0%} against {best:.0%}", best > 0 and share >= least * best)


def _above(rates: dict, letter: str, other: str) -> dict | None:
    if letter not in rates or other not in rates:
        return None
    low, high = difference(rates[letter]["unseen"], rates[other]["unseen"])
    text = f"row {letter} is above row {other} on the unseen half beyond the 95 % interval"
    return _claim(text, f"difference {low:+.0%} to {high:+.0%}", low > 0)


def _keeps(rates: dict) -> dict | None:
    if "a" not in rates or "c" not in rates:
        return None
    loss = rates["a"]["seen"].share - rates["c"]["seen"].share
    text = f"row c loses at most {SEEN_LOSS:.0%} against row a on the seen half"
    return _claim(text, f"{max(loss, 0.0):.0%} lost", loss <= SEEN_LOSS + 1e-9)


def _claim(text: str, measured: str, holds: bool) -> dict:
    return {"claim": text, "measured": measured, "holds": holds}
