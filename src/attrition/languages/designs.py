"""Balanced sets of orders as orders of numbers: Williams squares and cyclic Latin squares."""

from __future__ import annotations

IndexOrder = tuple[int, ...]
"""An order of the numbers 0...n-1."""


def balanced_design(n: int, size: int) -> list[IndexOrder]:
    """Return `size` orders of the numbers 0...n-1 whose mean positions are as equal as possible.

    See `attrition.languages.orders.balanced_set` for the exact properties.

    >>> balanced_design(4, 2)
    [(0, 1, 3, 2), (2, 3, 1, 0)]
    """
    zigzag = tuple(index // 2 + 1 if index % 2 else -(index // 2) % n for index in range(n))  # 0, 1, n-1, 2, n-2, ...
    square = [tuple((index + shift) % n for index in zigzag) for shift in range(n)]
    # For even n the reverse of each row of the square is also a row.
    pairs = [(row, row[::-1]) for row in square[: n // 2 if n % 2 == 0 else n]]
    rows: list[IndexOrder] = []
    if size % 2 and size >= n and n % 2:
        rows = square
    elif size == 1:
        rows = square[:1]
    elif size % 2:
        rows = _triple(square[0])
    num_pairs = (size - len(rows)) // 2
    # The last, incomplete round uses pairs far apart in the square. It skips the first if a row of it is already used.
    rounds, rest = divmod(num_pairs, len(pairs))
    skip = 1 if rows else 0
    chosen = [*range(len(pairs))] * rounds
    chosen += [(index + skip) * len(pairs) // (rest + skip) % len(pairs) for index in range(rest)]
    return rows + [row for index in chosen for row in pairs[index]]


def _triple(labels: IndexOrder) -> list[IndexOrder]:
    """Return three orders in which the sums of positions are equal (odd number of labels) or differ by at most 1 (even)."""
    n = len(labels)
    half = (n - 1) // 2
    # Label number i is at position i in the first order, at positions[i][0] in the second and positions[i][1] in the third.
    if n % 2:
        positions = [(2 * half - i // 2, half - 1 - i // 2) if i % 2 else (half - i // 2, 2 * half - i // 2) for i in range(n)]
    else:
        positions = [(n - 1 - i // 2, half - i // 2) if i % 2 else (half - i // 2, n - 1 - i // 2) for i in range(n)]
    return [labels, *(tuple(labels[i] for i in sorted(range(n), key=lambda i: positions[i][k])) for k in (0, 1))]
