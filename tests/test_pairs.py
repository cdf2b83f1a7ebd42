"""Do any two values of different axes meet?"""

from __future__ import annotations

from itertools import combinations, product

from tests.pairs import pairs

AXES = ("abcdefg", (1, 2, 3), (True, False), ("x", None, "y", "z"))


def met(rows):
    """Every pair in these rows, with where it stands."""
    return {((i, row[i]), (j, row[j])) for row in rows for i, j in combinations(range(len(row)), 2)}


def test_any_two_meet_in_few_combinations():
    rows = pairs(*AXES)
    assert met(rows) == met(product(*AXES))
    assert 7 * 4 <= len(rows) <= 32
    assert len(set(rows)) == len(rows)
    assert rows == pairs(*AXES)


def test_what_there_is_not_is_left_out_and_everything_else_meets():
    def there(letter, number, yes, other):
        return (letter != "a" or not yes) and (number != 3 or other == "z")

    rows = pairs(*AXES, where=there)
    assert all(there(*row) for row in rows)
    assert met(rows) == met(row for row in product(*AXES) if there(*row))


def test_one_axis_is_itself_and_nothing_is_nothing():
    assert pairs("abc") == [("a",), ("b",), ("c",)]
    assert pairs("abc", (1, 2), where=lambda *_: False) == []
