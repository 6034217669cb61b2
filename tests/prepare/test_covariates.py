"""Covariates of the corpus, against counts over texts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attrition.corpus.annotation import annotate
from attrition.corpus.base import Cut, Utterance
from attrition.corpus.encoded import Encoded, EncodingSettings, encode_utterances
from attrition.corpus.registry import Request, open_corpus
from attrition.corpus.words import Scheme, blank_leak, cut_words, label_set
from attrition.encoder.tiny import byte_tokenizer
from attrition.engine.run import run_study
from attrition.prepare.covariates import corpus_covariates, overlaps, share_of_edges
from attrition.prepare.prepare import Prepared
from attrition.results.covariates import FILE, read_covariates
from attrition.study.spec import Study
from attrition.verify.verify import verify

TEXTS = {
    "en-US": ["wake me at [time : five am]", "[date : today] [time : five]", "hi"],
    "de-DE": ["weck mich um [time : fünf] [place : zu hause]", "nein"],
    "zh-CN": ["[time : 五 点] 叫 我", "好"],
}
SLOTS = ("date", "place", "time")
CUTS: dict[str, Cut] = {"en-US": "blanks", "de-DE": "blanks", "zh-CN": "characters"}


def utterances_of(language: str) -> list[Utterance]:
    found = []
    for number, annotated in enumerate(TEXTS[language]):
        text = annotated
        for name in SLOTS:
            text = text.replace(f"[{name} : ", "")
        text = text.replace("]", "")
        found.append(Utterance(str(number), "intent", text, *annotate(text, annotated)))
    return found


def encoded_of(language: str, scheme: Scheme = "bio", **settings: Any) -> Encoded:
    return encode_utterances(
        utterances_of(language),
        byte_tokenizer(),
        slots=SLOTS,
        cut=CUTS[language],
        settings=EncodingSettings(scheme=scheme, **settings),
    )


def pieces_of(language: str) -> Counter[str]:
    """The sub-tokens of a language's words, one word after another."""
    tokenizer = byte_tokenizer()
    found: Counter[str] = Counter()
    for utterance in utterances_of(language):
        for start, end in cut_words(utterance, CUTS[language]):
            found.update(tokenizer.encode([utterance.text[start:end]], is_pretokenized=True).tokens[1:-1])
    return found


def test_numbers_are_those_of_the_texts() -> None:
    found = corpus_covariates({name: encoded_of(name) for name in TEXTS}, CUTS, label_set(SLOTS, "bio"))
    pieces = {name: pieces_of(name) for name in TEXTS}
    for name in TEXTS:
        words = sum(len(cut_words(utterance, CUTS[name])) for utterance in utterances_of(name))
        assert found.language["fertility"][name] == pytest.approx(pieces[name].total() / words)
        assert found.language["log_train_tokens"][name] == pytest.approx(math.log(pieces[name].total()))
        for other in TEXTS:
            shared = sum(number for piece, number in pieces[other].items() if piece in pieces[name])
            assert found.pair["overlap"][name, other] == pytest.approx(shared / pieces[other].total())
    # wake me at | five am: 1 edge of 4; today | five: 1 of 1; hi: none.
    assert found.language["blank_edges"]["en-US"] == pytest.approx(2 / 5)
    assert math.isnan(found.language["blank_edges"]["zh-CN"])
    assert found.pair["overlap"]["de-DE", "en-US"] != found.pair["overlap"]["en-US", "de-DE"]


@pytest.mark.parametrize("scheme", ["bio", "io"])
@pytest.mark.parametrize("language", ["en-US", "de-DE"])
def test_edges_are_those_of_the_annotation(language: str, scheme: Scheme) -> None:
    expected = blank_leak(utterances_of(language)).annotation
    assert share_of_edges(encoded_of(language, scheme), label_set(SLOTS, scheme)) == pytest.approx(expected)


def test_words_that_were_cut_off_do_not_count() -> None:
    found = corpus_covariates({"en-US": encoded_of("en-US", max_tokens=8)}, CUTS, label_set(SLOTS, "bio"))
    # Six sub-tokens of "▁wake▁me...", of "▁today..." and three of "▁hi": five words have one that is visible.
    assert found.language["log_train_tokens"]["en-US"] == pytest.approx(math.log(6 + 6 + 3))
    assert 1 < found.language["fertility"]["en-US"] < 6


def test_nothing_to_count_is_unknown() -> None:
    empty = encode_utterances([], byte_tokenizer(), slots=SLOTS, cut="blanks", settings=EncodingSettings())
    found = corpus_covariates({"en-US": encoded_of("en-US"), "de-DE": empty}, CUTS, label_set(SLOTS, "bio"))
    assert all(math.isnan(given["de-DE"]) for given in found.language.values())
    assert math.isnan(found.pair["overlap"]["en-US", "de-DE"])
    assert found.pair["overlap"]["de-DE", "en-US"] == 0


def test_overlaps_are_those_of_brute_force() -> None:
    rng = np.random.default_rng(0)
    ids = {name: rng.choice(10**6 * np.arange(1, 40), size) for name, size in (("a", 30), ("b", 200), ("c", 5))}
    for (trained, changed), share in overlaps(ids).items():
        assert share == np.mean([each in set(ids[trained].tolist()) for each in ids[changed].tolist()])


def test_a_run_writes_them_and_verify_computes_them_again(
    make_study: Callable[..., Study], prepared_of: Callable[[Study], Prepared], tmp_path: Path
) -> None:
    study = make_study()
    folder = run_study(study, tmp_path / "results")
    text = (folder / FILE).read_text()
    assert text == prepared_of(study).covariates
    found = read_covariates(folder)
    assert found is not None
    corpus = open_corpus(study.corpus.name, Request(languages=study.languages, sizes=study.corpus.sizes))
    for language in ("en-US", "de-DE"):
        assert found.language["blank_edges"][language] == pytest.approx(
            blank_leak(corpus.read(language, "train")).annotation, abs=1e-6
        )
    assert verify(folder).problems == ()
    (folder / FILE).write_text(text.replace("1", "2", 3).replace('"format": 2', '"format": 1'))
    assert [problem.file.name for problem in verify(folder).problems] == [FILE]
    (folder / FILE).write_text("{")
    assert [problem.file.name for problem in verify(folder, sample=0).problems] == [FILE]
    run_study(study, folder)
    assert (folder / FILE).read_text() == text
