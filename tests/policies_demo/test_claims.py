from policies_demo.claims import claims


def record(seen: int, unseen: int) -> dict:
    halves = {"seen": seen, "unseen": unseen, "all": seen + unseen}
    return {
        "rates": {part: {"successes": count, "attempts": 50 if part == "all" else 25} for part, count in halves.items()}
    }


def held(records: dict) -> dict[str, bool]:
    return {one["claim"]: one["holds"] for one in claims(records)}


def test_nothing_is_claimed_without_rows():
    assert claims({}) == []


def test_a_generated_set_that_works_holds_every_claim():
    records = {letter: record(20, 5) for letter in "bdg"} | {
        "a": record(20, 2), "c": record(21, 20), "e": record(23, 22), "f": record(22, 21), "h": record(22, 21)
    }  # fmt: skip
    found = held(records)
    assert len(found) == 9
    assert all(found.values())


def test_each_shortcoming_is_told():
    records = {"a": record(20, 2), "c": record(18, 9), "d": record(20, 8), "e": record(15, 19), "f": record(20, 14)}
    found = held(records)
    assert not found["row e succeeds in at least 70% in all"]
    assert not found["row f succeeds in at least 60% on the unseen half"]
    assert found["row f reaches at least 70% of row e on the unseen half"]
    assert not found["row c succeeds in at least 40% on the unseen half"]
    assert not found["row c is above row d on the unseen half beyond the 95 % interval"]
    assert not found["row c loses at most 5% against row a on the seen half"]
