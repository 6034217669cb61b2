"""How utterances are made: sentence patterns are read, checked, and filled with values drawn without repetition.

A pattern is a sentence with placeholders, `"wake me up at {time} on {date}"`, in `patterns/<locale>.toml`; `patterns/README.md`
has the rules for whoever adds or mends a language. Its blanks cut it into tokens, each a word of the annotation or a
placeholder.

Three things are promised of what is made:

- *No slot filling is in two splits.* A value belongs to the split that its surface hashes to, in whatever slot or language.
- *No utterance is made twice.* Every pattern is a deck of all its fillings, drawn from without putting back.
- *The same everywhere.* Draws come from the raw 64-bit stream of a PCG64 seeded by SHA-256. NumPy promises that stream for
  ever (NEP 19), but not what `Generator.integers` makes of it. A larger size continues a smaller one.
"""

from __future__ import annotations

import hashlib
import math
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from itertools import chain, pairwise
from typing import TypeVar

import numpy as np
import regex

from attrition.corpus.base import Slot, Split, Utterance
from attrition.corpus.phrasebook.values import SLOTS, slot_values
from attrition.names import AttritionError, unknown

T = TypeVar("T")

REVISION = "1"
"""The number of the generator: raised whenever the same settings would make other utterances."""

SCENARIOS: Mapping[str, str] = {
    "alarm_remove": "alarm",
    "alarm_set": "alarm",
    "audio_volume_up": "audio",
    "calendar_query": "calendar",
    "calendar_set": "calendar",
    "datetime_query": "datetime",
    "news_query": "news",
    "qa_currency": "qa",
    "qa_definition": "qa",
    "qa_factoid": "qa",
    "recommendation_events": "recommendation",
    "weather_query": "weather",
}
"""Intent -> MASSIVE's scenario, for each of the Phrasebook's intents."""

_FOLDER = files(__package__).joinpath("patterns")
_PLACEHOLDER = regex.compile(r"\{([^{}]*)\}")
# Slots that hold names share some ("berlin" is a place and a time zone): patterns alike but for these make the same sentences.
_NAMES = regex.compile(r"\{(?:currency_name|definition_word|place_name|time_zone)\}")
_BOUNDS: tuple[tuple[int, Split], ...] = ((70, "train"), (80, "dev"), (100, "test"))


@dataclass(frozen=True)
class Pattern:
    """A sentence of one intent; a token that starts with a brace is a placeholder, any other a word.

    >>> Pattern("alarm_set", "wake me at {time}").slots
    ('time',)
    """

    intent: str
    sentence: str

    @property
    def tokens(self) -> tuple[str, ...]:
        return tuple(self.sentence.split(" "))

    @property
    def slots(self) -> tuple[str, ...]:
        return tuple(_PLACEHOLDER.findall(self.sentence))


@dataclass(frozen=True)
class PatternFile:
    """The patterns of one language, by intent and then in the file's order; `blanks`: whether its script separates words."""

    blanks: bool
    patterns: tuple[Pattern, ...]


def known_languages() -> tuple[str, ...]:
    """Return the locales that have a pattern file, sorted."""
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in _FOLDER.iterdir() if entry.name.endswith(".toml")))


def pattern_source(language: str) -> str:
    """Return the text of a language's pattern file.

    Raises:
        UnknownNameError: there is none.
    """
    if language not in (known := known_languages()):
        raise unknown(language, known, kind="language", where=f"phrasebook/patterns/{language}.toml is missing")
    return _FOLDER.joinpath(f"{language}.toml").read_text(encoding="utf-8")


@cache
def read_patterns(language: str) -> PatternFile:
    """Return the checked patterns of `language`.

    Raises:
        AttritionError: the file is missing or breaks the rules of `patterns/README.md`; every mistake in it is named.
    """
    return parse_patterns(pattern_source(language), where=f"{language}.toml")


def parse_patterns(source: str, *, where: str) -> PatternFile:
    """Return the patterns in the text of a pattern file; `where` names the file in what is said about it.

    Raises:
        AttritionError: `source` is no TOML, or breaks the rules of `patterns/README.md`; every mistake is named.
    """
    try:
        document = tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        raise AttritionError(f"{where}: this is not TOML: {error}.") from error
    mistakes = list(_mistakes(document, where))
    if mistakes:
        raise AttritionError("\n".join(mistakes))
    intents: dict[str, list[str]] = document["intents"]
    patterns = (Pattern(intent, sentence) for intent in sorted(intents) for sentence in intents[intent])
    return PatternFile(document["blanks"], tuple(patterns))


def _mistakes(document: Mapping[str, object], where: str) -> Iterator[str]:
    for key in document.keys() - {"blanks", "intents", "connectives"}:
        yield str(unknown(key, ["blanks", "intents"], kind="key", where=where))
    if document.get("connectives"):
        yield f"{where}: 'connectives' has no effect: take it out."
    blanks, intents = document.get("blanks"), document.get("intents")
    if not isinstance(blanks, bool):
        yield f"{where}: 'blanks' must say true or false: whether the script separates words by blanks."
    if not isinstance(intents, dict):
        yield f"{where}: there must be a table [intents], of a list of sentences each."
        return
    for intent in sorted(SCENARIOS.keys() - intents.keys()):
        yield f"{where}: the intent '{intent}' is missing."
    well_formed: list[Pattern] = []
    for intent, sentences in intents.items():
        at = f"{where}, intent {intent}"
        if intent not in SCENARIOS:
            yield str(unknown(intent, SCENARIOS, kind="intent", where=where))
        elif not isinstance(sentences, list) or not all(isinstance(sentence, str) for sentence in sentences):
            yield f"{at}: this must be a list of sentences in quotes."
        elif len(sentences) < 2:
            yield f"{at}: {len(sentences)} pattern(s), but at least 2 are needed."
        else:
            for sentence in sentences:
                yield from _mistakes_in(sentence, at, blanks is not False)
            well_formed += [Pattern(intent, sentence) for sentence in sentences]
    yield from _mistakes_between(well_formed, where)


def _mistakes_in(sentence: str, at: str, blanks: bool) -> Iterator[str]:
    tokens = sentence.split(" ")
    if "" in tokens:
        yield f"{at}: {sentence!r} has a blank at its start or end, or two in a row."
    for token in tokens:
        if ("{" in token or "}" in token) and not _PLACEHOLDER.fullmatch(token):
            yield f"{at}: in {sentence!r}, {token!r} is no placeholder by itself: put blanks around '{{...}}'."
    for slot in _PLACEHOLDER.findall(sentence):
        if slot not in SLOTS:
            yield str(unknown(slot, SLOTS, kind="placeholder", where=f"{at}, {sentence!r}"))
    if regex.search(r"[\[\]\s--[ ]]", sentence, regex.V1):
        yield f"{at}: {sentence!r} has a square bracket, or white space other than a plain blank."
    if not blanks and any("{" not in one + other for one, other in pairwise(tokens)):
        yield f"{at}: {sentence!r} has a blank between words, but blanks = false: only placeholders take blanks there."


def _mistakes_between(patterns: Sequence[Pattern], where: str) -> Iterator[str]:
    first: dict[str, Pattern] = {}
    for pattern in patterns:
        other = first.setdefault(_NAMES.sub("{name}", pattern.sentence), pattern)
        if other is not pattern:
            same = other.sentence == pattern.sentence
            said = "is there already" if same else f"differs from {other.sentence!r} by a placeholder only"
            yield f"{where}, intent {pattern.intent}: {pattern.sentence!r} {said} (intent {other.intent}). Word it differently."
    in_intents = {slot: {pattern.intent for pattern in patterns if slot in pattern.slots} for slot in SLOTS}
    in_patterns = Counter(chain.from_iterable(set(pattern.slots) for pattern in patterns))
    for slot in SLOTS:
        if len(in_intents[slot]) < 2 and in_patterns[slot] < 3:
            yield f"{where}: {{{slot}}} must occur in 2 intents or in 3 patterns; it occurs in {in_patterns[slot]} pattern(s)."


def split_of(surface: str) -> Split:
    """Return the split that may hold `surface` (a slot's value, or a whole sentence without slots): 70% train, 10% dev, 20% test.

    >>> split_of("berlin"), split_of("paris"), split_of("7:30")
    ('train', 'train', 'test')
    """
    hundredth = int.from_bytes(hashlib.sha256(surface.encode()).digest()[:8], "big") % 100
    return next(split for bound, split in _BOUNDS if hundredth < bound)


def join(tokens: Sequence[str], blanks: bool) -> str:
    """Return the tokens as they are written: with blanks, or without (but where two numbers would run together).

    >>> join(["3月14日", "7:30", "に"], blanks=False), join(["မတ် ၁၄", "၇:၃၀"], blanks=False)
    ('3月14日7:30に', 'မတ်၁၄ ၇:၃၀')
    """
    text = " ".join(tokens)
    return text if blanks else regex.sub(r"(?<!\d) | (?!\d)", "", text)


@cache
def pools(language: str) -> Mapping[Split, Mapping[str, tuple[str, ...]]]:
    """Split -> slot -> the values that this split may use in `language`, as they are written in an utterance."""
    blanks = read_patterns(language).blanks
    found: dict[Split, dict[str, list[str]]] = {split: {slot: [] for slot in SLOTS} for _, split in _BOUNDS}
    for slot, values in slot_values(language).items():
        for value in dict.fromkeys(join([value], blanks) for value in values):
            found[split_of(value)][slot].append(value)
    return {split: {slot: tuple(values) for slot, values in by_slot.items()} for split, by_slot in found.items()}


@dataclass
class _Deck:
    """All fillings of one pattern, numbered from 0, drawn without repetition.

    This is a Fisher-Yates shuffle of `range(size)` that keeps only the cards moved so far: sizes reach 10^11.
    """

    pattern: Pattern
    values: tuple[tuple[str, ...], ...]
    size: int
    drawn: int = 0
    moved: dict[int, int] = field(default_factory=dict)

    def draw(self, raw: int) -> tuple[str, ...]:
        """One filling of the placeholders, picked by 64 random bits."""
        place = self.drawn + (raw * (self.size - self.drawn) >> 64)
        card = self.moved.get(place, place)
        self.moved[place] = self.moved.pop(self.drawn, self.drawn)
        self.drawn += 1
        filling = []
        for values in self.values:
            card, index = divmod(card, len(values))
            filling.append(values[index])
        return tuple(filling)


def _decks(language: str, split: Split) -> dict[str, list[_Deck]]:
    """Intent -> its decks; no deck is empty."""
    by_slot = pools(language)[split]
    decks: dict[str, list[_Deck]] = {}
    for pattern in read_patterns(language).patterns:
        values = tuple(by_slot[slot] for slot in pattern.slots)
        size = math.prod(map(len, values)) if values else int(split_of(pattern.sentence) == split)
        if size:
            decks.setdefault(pattern.intent, []).append(_Deck(pattern, values, size))
    return decks


def num_distinct(language: str, split: Split) -> int:
    """Return how many different utterances there are in `language` and `split`."""
    return sum(deck.size for decks in _decks(language, split).values() for deck in decks)


def generate_utterances(language: str, split: Split, size: int, seed: int) -> Iterator[Utterance]:
    """`size` different utterances; the first ones are the same for every size. Ids are those of `utterance_id`.

    Intents are drawn evenly, then the intent's patterns, then the fillings of the pattern.

    Raises:
        AttritionError: `size` is more than there are.
    """
    if size > (most := num_distinct(language, split)):
        raise AttritionError(
            f"{size} utterances of {language} {split} were asked for, but the patterns and values give no more than {most} "
            f"different ones. Set {split} to at most {most}, or add patterns to {language}.toml."
        )
    blanks = read_patterns(language).blanks
    digest = hashlib.sha256(f"phrasebook {REVISION}/{seed}/{language}/{split}".encode()).digest()
    stream = np.random.PCG64(int.from_bytes(digest, "big"))
    decks = _decks(language, split)
    for index in range(size):
        intent = _pick(sorted(decks), stream)
        deck = _pick(decks[intent], stream)
        filling = deck.draw(stream.random_raw())
        if deck.drawn == deck.size:
            decks[intent].remove(deck)
            if not decks[intent]:
                del decks[intent]
        yield fill(deck.pattern, filling, blanks, id=utterance_id(index, split))


def utterance_id(index: int, split: Split) -> str:
    """Return the id of a split's utterance number `index`: the three splits take turns, so that ids do not depend on sizes.

    >>> utterance_id(0, "train"), utterance_id(0, "dev"), utterance_id(0, "test"), utterance_id(1, "train")
    ('0', '1', '2', '3')
    """
    return str(3 * index + [name for _, name in _BOUNDS].index(split))


def _pick(choices: Sequence[T], stream: np.random.PCG64) -> T:
    return choices[stream.random_raw() * len(choices) >> 64]


def fill(pattern: Pattern, filling: Sequence[str], blanks: bool, *, id: str) -> Utterance:  # noqa: A002 - MASSIVE's name
    """Return the utterance that `pattern` makes with one value for each of its placeholders, in their order.

    >>> fill(Pattern("alarm_set", "wake me at {time}"), ["7:30 am"], blanks=True, id="0")
    Utterance(id='0', intent='alarm_set', text='wake me at 7:30 am', words=((0, 4), (5, 7), (8, 10), (11, 15), (16, 18)),
        slots=(Slot(start=11, end=18, name='time'),))
    >>> fill(Pattern("alarm_set", "{time} に起こして"), ["7:30"], blanks=False, id="0").text
    '7:30に起こして'
    """
    remaining = iter(filling)
    tokens = [next(remaining) if token.startswith("{") else token for token in pattern.tokens]
    text = join(tokens, blanks)
    words: list[tuple[int, int]] = []
    slots: list[Slot] = []
    at = 0
    for token, written in zip(pattern.tokens, tokens, strict=True):
        start = at = at + (text[at] == " ")
        for word in written.split(" "):
            at += text[at] == " "
            words.append((at, at + len(word)))
            at += len(word)
        if token.startswith("{"):
            slots.append(Slot(start, at, token[1:-1]))
    return Utterance(id, pattern.intent, text, tuple(words), tuple(slots))


def annotate(utterance: Utterance) -> str:
    """Return the utterance in MASSIVE's notation, with every slot in brackets and blanks between the words of the annotation.

    >>> annotate(fill(Pattern("alarm_set", "{time} に起こして"), ["7:30"], blanks=False, id="0"))
    '[time : 7:30] に起こして'
    """
    starts = {slot.start: slot.name for slot in utterance.slots}
    ends = {slot.end for slot in utterance.slots}
    pieces = []
    for start, end in utterance.words:
        opening = f"[{starts[start]} : " if start in starts else ""
        pieces.append(opening + utterance.text[start:end] + ("]" if end in ends else ""))
    return " ".join(pieces)
