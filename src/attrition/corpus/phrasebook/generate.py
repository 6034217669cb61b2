"""Generates utterances: reads and checks sentence patterns, and fills them with values drawn without repetition.

A pattern is a sentence with placeholders, `"wake me up at {time} on {date}"`, in `patterns/<locale>.toml`. To add or correct a
language, see `patterns/README.md`. Blanks separate a pattern's tokens: words of the annotation and placeholders.

Three guarantees:

- *No slot value is in two splits.* The hash of a value's text determines its split, for every slot and language.
- *No utterance occurs twice.* Every pattern draws from all its fillings without replacement.
- *The same on every machine.* Draws come from the raw 64-bit stream of a PCG64 seeded by SHA-256. NumPy guarantees this
  stream (NEP 19), but not the results of `Generator.integers`. A larger size continues a smaller one.
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
"""The generator's version: increased whenever the same settings would give other utterances."""

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
# These slots share values ("berlin" is a place and a time zone): patterns that differ only in them give equal sentences.
_NAMES = regex.compile(r"\{(?:currency_name|definition_word|place_name|time_zone)\}")
_BOUNDS: tuple[tuple[int, Split], ...] = ((70, "train"), (80, "dev"), (100, "test"))


@dataclass(frozen=True)
class Pattern:
    """A sentence of one intent. A token that starts with a brace is a placeholder, every other token a word.

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
    """The patterns of one language, by intent, in the file's order. `blanks`: True if its script separates words by blanks."""

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
        AttritionError: the file is missing or breaks the rules of `patterns/README.md`; the message lists all mistakes.
    """
    return parse_patterns(pattern_source(language), where=f"{language}.toml")


def parse_patterns(source: str, *, where: str) -> PatternFile:
    """Return the patterns in the text of a pattern file; `where` is the file's name in messages.

    Raises:
        AttritionError: `source` is not TOML, or breaks the rules of `patterns/README.md`; the message lists all mistakes.
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
    """Return the split of `surface` (a slot's value, or a sentence without slots): 70% train, 10% dev, 20% test.

    >>> split_of("berlin"), split_of("paris"), split_of("7:30")
    ('train', 'train', 'test')
    """
    hundredth = int.from_bytes(hashlib.sha256(surface.encode()).digest()[:8], "big") % 100
    return next(split for bound, split in _BOUNDS if hundredth < bound)


def join(tokens: Sequence[str], blanks: bool) -> str:
    """Return the tokens as text: joined by blanks, or without (except between two numbers).

    >>> join(["3月14日", "7:30", "に"], blanks=False), join(["မတ် ၁၄", "၇:၃၀"], blanks=False)
    ('3月14日7:30に', 'မတ်၁၄ ၇:၃၀')
    """
    text = " ".join(tokens)
    return text if blanks else regex.sub(r"(?<!\d) | (?!\d)", "", text)


@cache
def pools(language: str) -> Mapping[Split, Mapping[str, tuple[str, ...]]]:
    """Return split -> slot -> the values that this split may use in `language`, as written in an utterance."""
    blanks = read_patterns(language).blanks
    found: dict[Split, dict[str, list[str]]] = {split: {slot: [] for slot in SLOTS} for _, split in _BOUNDS}
    for slot, values in slot_values(language).items():
        for value in dict.fromkeys(join([value], blanks) for value in values):
            found[split_of(value)][slot].append(value)
    return {split: {slot: tuple(values) for slot, values in by_slot.items()} for split, by_slot in found.items()}


@dataclass
class _Deck:
    """All fillings of one pattern, numbered from 0, drawn without replacement.

    A Fisher-Yates shuffle of `range(size)` that stores only the moved items: sizes reach 10^11.
    """

    pattern: Pattern
    values: tuple[tuple[str, ...], ...]
    size: int
    drawn: int = 0
    moved: dict[int, int] = field(default_factory=dict)

    def draw(self, raw: int) -> tuple[str, ...]:
        """Return one filling of the placeholders, chosen by 64 random bits."""
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
    """Return intent -> its decks, without empty decks."""
    by_slot = pools(language)[split]
    decks: dict[str, list[_Deck]] = {}
    for pattern in read_patterns(language).patterns:
        values = tuple(by_slot[slot] for slot in pattern.slots)
        size = math.prod(map(len, values)) if values else int(split_of(pattern.sentence) == split)
        if size:
            decks.setdefault(pattern.intent, []).append(_Deck(pattern, values, size))
    return decks


def num_distinct(language: str, split: Split) -> int:
    """Return the number of different utterances in `language` and `split`."""
    return sum(deck.size for decks in _decks(language, split).values() for deck in decks)


def generate_utterances(language: str, split: Split, size: int, seed: int) -> Iterator[Utterance]:
    """Return `size` different utterances; the first ones are the same for every size. `utterance_id` gives the ids.

    Intents are drawn evenly, then the intent's patterns, then the fillings of the pattern.

    Raises:
        AttritionError: there are fewer than `size` utterances.
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
    """Return the id of a split's utterance number `index`. The splits alternate, so that ids do not depend on sizes.

    >>> utterance_id(0, "train"), utterance_id(0, "dev"), utterance_id(0, "test"), utterance_id(1, "train")
    ('0', '1', '2', '3')
    """
    return str(3 * index + [name for _, name in _BOUNDS].index(split))


def _pick(choices: Sequence[T], stream: np.random.PCG64) -> T:
    return choices[stream.random_raw() * len(choices) >> 64]


def fill(pattern: Pattern, filling: Sequence[str], blanks: bool, *, id: str) -> Utterance:  # noqa: A002 - MASSIVE's name
    """Return the utterance of `pattern` with one value for each placeholder, in order.

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
    """Return the utterance in MASSIVE's notation: slots in brackets, blanks between the words of the annotation.

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
