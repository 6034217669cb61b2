"""What both sides learn and read: the same utterances, encoded once, and the vocabulary of the study they stand for."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from attrition.corpus.base import Corpus, Split
from attrition.corpus.cache import cache_folder
from attrition.corpus.dataset import Dataset, Sizes
from attrition.corpus.encoded import Encoded, EncodingSettings, join
from attrition.corpus.massive import Massive, find_massive
from attrition.corpus.phrasebook import Phrasebook
from attrition.corpus.words import label_set
from attrition.encoder.pretrained import Pretrained
from attrition.encoder.sources import load_pretrained
from attrition.encoder.vocabulary import Vocabulary, used_vocabulary
from attrition.names import AttritionError
from attrition.streams import numpy_stream

LANGUAGES = ("en-US", "de-DE", "ru-RU", "hi-IN", "th-TH", "sw-KE")


@dataclass(frozen=True, eq=False)
class Workload:
    """The utterances of one comparison; all ids are of the model's whole vocabulary.

    `vocabulary` is what a study of these languages keeps: the sub-tokens of *all* their utterances, not only of the sample.
    `scored` is a whole test set, for the scorer alone.
    """

    pretrained: Pretrained
    corpus: str
    labels: tuple[str, ...]
    vocabulary: Vocabulary
    train: Encoded
    tests: dict[str, Encoded]
    scored: Encoded

    def compact(self, encoded: Encoded) -> Encoded:
        """The same utterances with ids of the vocabulary kept."""
        return dataclasses.replace(encoded, ids=self.vocabulary.compact(encoded.ids).astype(np.int32))

    def describe(self) -> dict[str, Any]:
        """What a result says of it."""
        return {
            "corpus": self.corpus,
            "model": self.pretrained.name,
            "languages": list(self.tests),
            "train_utterances": len(self.train),
            "train_subtokens": self.train.num_tokens,
            "test_utterances": sum(len(each) for each in self.tests.values()),
            "test_subtokens": sum(each.num_tokens for each in self.tests.values()),
            "scored_utterances": len(self.scored),
            "vocabulary_kept": len(self.vocabulary),
            "vocabulary": self.vocabulary.full_size,
        }


def load_workload(
    model: str, languages: tuple[str, ...], num_train: int, num_test: int, *, phrasebook: bool = False
) -> Workload:
    """A mixed sample of all languages for training, and the same number of test utterances of each.

    Args:
        model: as `load_pretrained` takes it.
        languages: of the corpus.
        num_train, num_test: utterances in all.
        phrasebook: take generated utterances even where MASSIVE is at hand.
    """
    pretrained = load_pretrained(model)
    corpus = _corpus(languages, phrasebook, most=max(num_train, num_test))
    dataset = Dataset(
        corpus=corpus,
        languages=languages,
        tokenizer=pretrained.tokenizer,
        tokenizer_fingerprint=pretrained.tokenizer_fingerprint,
        settings=EncodingSettings(),
        cuts={},
        sizes=Sizes(),
        cache=None if phrasebook else cache_folder(),
    )
    encoded = dataset.encode()
    special = [getattr(pretrained.config, f"{name}_token_id", None) for name in ("pad", "bos", "eos", "unk")]
    vocabulary = used_vocabulary(
        (each.ids for each in encoded.values()), [id_ for id_ in special if isinstance(id_, int)], pretrained.vocabulary_size
    )
    share = -(-num_test // len(languages))
    return Workload(
        pretrained=pretrained,
        corpus=corpus.name,
        labels=label_set(corpus.slots, dataset.settings.scheme),
        vocabulary=vocabulary,
        train=_sample(join([encoded[language, "train"] for language in languages]), num_train, "train"),
        tests={language: _sample(encoded[language, "test"], share, "test") for language in languages},
        scored=encoded[languages[0], "test"],
    )


def _corpus(languages: tuple[str, ...], phrasebook: bool, most: int) -> Corpus:
    if not phrasebook:
        try:
            return Massive(find_massive())
        except AttritionError:
            pass  # the result says which corpus it was
    return Phrasebook(train=max(most, 16), dev=1, test=max(most, 16), languages=languages)


def _sample(encoded: Encoded, count: int, split: Split) -> Encoded:
    rows = numpy_stream("benchmark", split).permutation(len(encoded))[:count]
    return encoded.select(np.sort(rows) if split == "test" else rows)
