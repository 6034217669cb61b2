"""The paper's orders against the language table, and the promises of the generated ones."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attrition.languages import LANGUAGES, read_languages
from attrition.languages.orders import PAPER_ORDERS, Order, balanced_set, list_orders, order, read_order, validate
from attrition.names import AttritionError

SIX = ("th-TH", "en-US", "de-DE", "sw-KE", "ru-RU", "hi-IN")


def position_sums(orders: tuple[Order, ...]) -> list[int]:
    return [sum(each.index(locale) for each in orders) for locale in sorted(orders[0])]


def test_the_paper_has_five_orders_of_all_languages() -> None:
    assert list(PAPER_ORDERS) == [f"paper-{number}" for number in range(1, 6)]
    for name in PAPER_ORDERS:
        assert sorted(order(name)) == list(LANGUAGES)
    assert len({order(name) for name in PAPER_ORDERS}) == 5


def test_order_1_is_descending_cc100_size() -> None:
    sizes = [LANGUAGES[locale].cc100_gib for locale in order("paper-1")]
    assert sizes == sorted(sizes, reverse=True), "no inversion"
    ties = [(a, b) for a, b in pairwise(order("paper-1")) if LANGUAGES[a].cc100_gib == LANGUAGES[b].cc100_gib]
    assert ties == [("el-GR", "zh-CN"), ("am-ET", "cy-GB")]
    assert order("sorted:cc100_gib:desc") == order("paper-1")


def test_order_1_is_not_by_tokens() -> None:
    tokens = [LANGUAGES[locale].cc100_tokens_m for locale in order("paper-1")]
    assert sum(a < b for a, b in pairwise(tokens)) == 21, "neighbours in the wrong order"
    assert order("sorted:cc100_tokens_m:desc") != order("paper-1")


def test_only_order_4_is_corrected_and_keeps_what_was_printed() -> None:
    assert {name: dict(paper.corrections) for name, paper in PAPER_ORDERS.items() if paper.corrections} == {
        "paper-4": {"ml-NL": "nl-NL"}
    }
    paper = PAPER_ORDERS["paper-4"]
    place = paper.printed.index("ml-NL")
    assert paper.locales[place] == "nl-NL"
    assert "nl-NL" not in paper.printed
    assert "ml-NL" in paper.note
    assert all(locale in LANGUAGES for name, each in PAPER_ORDERS.items() if name != "paper-4" for locale in each.printed)


def test_order_5_says_that_it_is_no_random_draw() -> None:
    assert "destructive" in PAPER_ORDERS["paper-5"].note
    assert set(order("paper-5")[-7:]) >= {"zh-TW", "zh-CN", "ja-JP", "th-TH", "km-KH"}


def test_a_paper_order_cut_to_some_languages_keeps_its_sequence() -> None:
    assert order("paper-4", SIX) == ("th-TH", "ru-RU", "en-US", "hi-IN", "de-DE", "sw-KE")
    with pytest.raises(AttritionError, match="paper-1: sk-SK missing"):
        order("paper-1", ["sk-SK", "de-DE"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sorted:cc100_gib:desc", ("en-US", "ru-RU", "th-TH", "de-DE", "hi-IN", "sw-KE")),
        ("sorted:cc100_gib:asc", ("sw-KE", "hi-IN", "de-DE", "th-TH", "ru-RU", "en-US")),
        ("sorted:joshi_class", ("sw-KE", "th-TH", "hi-IN", "ru-RU", "de-DE", "en-US")),
        ("sorted:vitality:asc", ("sw-KE", "hi-IN", "ru-RU", "th-TH", "de-DE", "en-US")),
        ("sorted:latin:desc", ("de-DE", "en-US", "sw-KE", "hi-IN", "ru-RU", "th-TH")),
        ("blocks:script", ("ru-RU", "hi-IN", "de-DE", "en-US", "sw-KE", "th-TH")),
        ("blocks:family", ("sw-KE", "de-DE", "en-US", "hi-IN", "ru-RU", "th-TH")),
    ],
)
def test_sorted_and_blocked_orders_by_hand(name: str, expected: Order) -> None:
    assert order(name, SIX) == expected


@pytest.mark.parametrize("name", ["script", "family", "branch", "vitality", "latin"])
def test_blocks_are_whole(name: str) -> None:
    groups = [str(LANGUAGES[locale].value(name)) for locale in order(f"blocks:{name}")]
    assert 1 + sum(a != b for a, b in pairwise(groups)) == len(set(groups))


def test_blocks_of_an_own_grouping(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('th-TH = "a"\nde-DE = "b"\nen-US = "a"\n', encoding="utf-8")
    assert order("blocks:mine.toml", ["de-DE", "en-US", "th-TH"], folder=tmp_path) == ("en-US", "th-TH", "de-DE")


def test_a_random_order_never_changes() -> None:
    # Written down once: studies name these orders, so a new NumPy must not give others.
    assert order("random:1")[:6] == ("el-GR", "pt-PT", "sl-SL", "ms-MY", "hi-IN", "ar-SA")
    assert order("random:1", SIX) == order("random:1", SIX[::-1])
    assert order("random:1") != order("random:2")
    firsts = Counter(order(f"random:{seed}", SIX)[0] for seed in range(300))
    assert min(firsts.values()) > 25, "each of six languages comes first about 50 times"


@given(n=st.integers(1, 12), size=st.integers(1, 30), seed=st.none() | st.integers(0, 5))
def test_a_balanced_set_has_mean_positions_as_equal_as_can_be(n: int, size: int, seed: int | None) -> None:
    orders = balanced_set(size, tuple(LANGUAGES)[:n], seed=seed)
    assert len(orders) == size
    assert all(sorted(each) == list(LANGUAGES)[:n] for each in orders)
    sums = position_sums(orders)
    if size > 1:
        assert max(sums) - min(sums) == size * (n - 1) % 2, "equal wherever the total can be shared equally"


@pytest.mark.parametrize(("n", "size", "times"), [(4, 4, 1), (6, 6, 1), (52, 52, 1), (5, 10, 2), (7, 14, 2), (6, 12, 2)])
def test_a_square_balances_positions_and_neighbours(n: int, size: int, times: int) -> None:
    orders = balanced_set(size, tuple(LANGUAGES)[:n])
    for position in range(n):
        assert set(Counter(each[position] for each in orders).values()) == {size // n}
    follows = Counter(pair for each in orders for pair in pairwise(each))
    assert len(follows) == n * (n - 1)
    assert set(follows.values()) == {times}


@pytest.mark.parametrize("n", [5, 7, 51])
def test_an_odd_square_is_latin(n: int) -> None:
    orders = balanced_set(n, tuple(LANGUAGES)[:n])
    assert all(len(set(column)) == n for column in zip(*orders, strict=True))


def test_a_small_balanced_set_of_all_languages_repeats_no_order() -> None:
    for size in range(1, 53):
        assert len(set(balanced_set(size, tuple(LANGUAGES)))) == size
    first, second = balanced_set(2, tuple(LANGUAGES))
    assert second == first[::-1]


def test_balanced_names_count_from_1() -> None:
    rows = tuple(order(f"balanced:6:{row}", SIX) for row in range(1, 7))
    assert rows == balanced_set(6, SIX)
    assert order("balanced:6:2:9", SIX) == balanced_set(6, SIX, seed=9)[1]
    with pytest.raises(AttritionError, match="there is no order 7 in a set of 6"):
        order("balanced:6:7", SIX)
    with pytest.raises(AttritionError, match="there is no order 0"):
        order("balanced:6:0", SIX)


def test_every_listed_example_works_on_a_few_languages() -> None:
    infos = list_orders()
    assert len(infos) == 10
    for info in infos:
        assert info.description
        if not info.example.startswith("file:"):
            assert sorted(order(info.example, SIX)) == sorted(SIX)
            assert order(info.example)[:5] == info.first


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("paper-6", r"Unknown order 'paper-6'\. Did you mean 'paper-5'\?"),
        ("randm:1", r"Unknown order 'randm'\. Did you mean 'random'\?"),
        ("random", r"Order 'random' is not complete: write random:SEED, such as 'random:1'"),
        ("random:x", r"SEED is 'x', but it must be a whole number"),
        ("random:-1", r"SEED is '-1'"),
        ("random:1:2", r"not complete"),
        ("sorted:cc100:desc", r"order 'sorted:cc100:desc': unknown attribute of a language 'cc100'"),
        ("sorted:name:down", r"unknown direction 'down'\. .*Known: asc, desc"),
        ("blocks:scrpt", r"Unknown grouping 'scrpt'\. Did you mean 'script'\?"),
        ("balanced:0:1", r"there is no order 1 in a set of 0"),
        ("balanced::1", r"not complete"),
        ("file:", r"cannot be read|no order file"),
    ],
)
def test_a_faulty_name_is_a_sentence(name: str, message: str) -> None:
    with pytest.raises(AttritionError, match=message):
        order(name)


def test_an_order_file_may_be_written_as_one_likes(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("# mine\nth-TH, en-US de-DE # three\n\n ru-RU\n", encoding="utf-8-sig")
    assert order("file:mine.txt", folder=tmp_path) == ("th-TH", "en-US", "de-DE", "ru-RU")
    assert order("file:mine.txt", ["ru-RU", "en-US"], folder=tmp_path) == ("en-US", "ru-RU")
    assert read_order(tmp_path / "mine.txt")[0] == "th-TH"
    with pytest.raises(AttritionError, match=r"^mine\.txt: sw-KE missing"):
        order("file:mine.txt", ["ru-RU", "sw-KE"], folder=tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "en-US\nde-DE\n# x\nnl_NL\n",
            r"^orders/mine\.txt, line 4: 'nl_NL' is no language tag \(BCP 47 or ISO 639\)\. Did you mean 'nl-NL'\?$",
        ),
        ("en-US\nde-DE en-US\n", r"^orders/mine\.txt, line 2: 'en-US' is already in line 1"),
        ("# nothing\n", r"^orders/mine\.txt: no languages"),
    ],
)
def test_a_faulty_order_file_is_a_sentence_with_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "orders").mkdir()
    (tmp_path / "orders" / "mine.txt").write_text(text, encoding="utf-8")
    with pytest.raises(AttritionError, match=message):
        order("file:orders/mine.txt", folder=tmp_path)


def test_an_order_file_that_is_nowhere_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(AttritionError, match="There is no order file"):
        order("file:mine.txt", folder=tmp_path)


def test_languages_outside_the_table_can_be_ordered_and_come_last_where_the_attribute_is_not_known(tmp_path: Path) -> None:
    two = ("sk-SK", "de-DE")
    (tmp_path / "two.txt").write_text("sk-SK de-DE", encoding="utf-8")
    assert order("file:two.txt", two, folder=tmp_path) == two
    assert sorted(order("random:3", two)) == sorted(two)
    assert sorted(order("balanced:2:1", two)) == sorted(two)
    assert order("sorted:cc100_gib", two) == order("sorted:cc100_gib:desc", two) == ("de-DE", "sk-SK")
    assert order("sorted:name:desc", two) == ("sk-SK", "de-DE")  # Slovak, German
    assert order("blocks:family", two) == ("de-DE", "sk-SK")
    (tmp_path / "mine.csv").write_text("locale,cc100_gib\nsk-SK,0.5\n")
    assert order("sorted:cc100_gib", two, own=read_languages(tmp_path / "mine.csv")) == ("sk-SK", "de-DE")


def test_validate() -> None:
    assert validate(["b", "a"]) == ("b", "a")
    with pytest.raises(AttritionError, match="no languages"):
        validate([])
    with pytest.raises(AttritionError, match="'b' is at positions 1 and 3"):
        validate(["b", "a", "b"])
    with pytest.raises(AttritionError, match=r"^here: unknown language 'de-DF'\. Did you mean 'de-DE'\?"):
        validate(["de-DF"], ["de-DE"], where="here")
    with pytest.raises(AttritionError, match="en-US missing"):
        validate(["de-DE"], ["de-DE", "en-US"])
    with pytest.raises(AttritionError, match="positions 1 and 2"):
        order("random:1", ["de-DE", "de-DE"])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("balanced:1000000000000:1", r"at most 10,000, not 1,000,000,000,000"),
        (f"random:{'9' * 5_000}", r"SEED is '999.* of at most 40 digits"),
        (f"balanced:{'9' * 5_000}:1", r"N is '999.* of at most 40 digits"),
        (f"file:{'x' * 5_000}", "File name too long"),
        ("file:a\0b", "cannot name a file: embedded null byte"),
    ],
)
def test_an_order_that_would_take_all_memory_or_no_file_can_be(name: str, said: str) -> None:
    with pytest.raises(AttritionError, match=said):
        order(name, ["de-DE", "en-US"])


def test_a_remark_goes_on_to_the_end_of_its_line_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("# one\u2028en-US\x0bsw-KE\x85fr-FR\nde-DE\n", encoding="utf-8")
    assert order("file:mine.txt", folder=tmp_path) == ("de-DE",)
