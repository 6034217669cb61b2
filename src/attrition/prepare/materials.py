"""What a study is made of: encoded utterances, an encoder, and what a result must say about where they come from."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from attrition.corpus.base import Corpus, Cut, Split, Utterance
from attrition.corpus.dataset import Dataset
from attrition.corpus.describe import said_of_notices
from attrition.corpus.encoded import Encoded, EncodingSettings
from attrition.corpus.formats import Layout
from attrition.corpus.registry import Request, open_corpus
from attrition.encoder.head import fit_head
from attrition.encoder.pretrained import Pretrained
from attrition.encoder.sources import load_pretrained
from attrition.encoder.vocabulary import Vocabulary, used_vocabulary, whole_vocabulary
from attrition.names import AttritionError
from attrition.problem.base import Problem
from attrition.problem.problems import DEFAULT, may_be_cached, problem
from attrition.study.spec import Study
from attrition.study.watcher import Watcher


@dataclass(frozen=True, kw_only=True)
class CorpusFacts:
    """A corpus without its utterances; `cuts` says for each language of the study how it was cut into words."""

    name: str
    revision: str
    licence: str
    citation: str
    generated: bool
    slots: tuple[str, ...]
    intents: tuple[str, ...] = ()
    fingerprint: str
    cuts: Mapping[str, Cut]

    @staticmethod
    def of(corpus: Corpus, cuts: Mapping[str, Cut]) -> CorpusFacts:
        """What a corpus says of itself."""
        return CorpusFacts(
            name=corpus.name,
            revision=corpus.revision,
            licence=corpus.licence,
            citation=corpus.citation,
            generated=corpus.generated,
            slots=tuple(corpus.slots),
            intents=tuple(corpus.intents),
            fingerprint=corpus.fingerprint,
            cuts=cuts,
        )


@dataclass(frozen=True, eq=False)
class Materials:
    """All that a study needs beside its settings; `encoded` holds ids of the model's whole vocabulary."""

    corpus: CorpusFacts
    pretrained: Pretrained
    encoding: EncodingSettings
    encoded: Mapping[tuple[str, Split], Encoded]


def gather(study: Study, watcher: Watcher, cache: Path | None) -> Materials:
    """Open the corpus, load the encoder and encode.

    Args:
        study: as read.
        watcher: told how far reading and encoding are.
        cache: folder for encoded languages, or None.

    Raises:
        AttritionError: something that the study names is not there or does not fit.
    """
    settings = study.corpus
    request = Request(
        path=None if settings.path is None else Path(settings.path),
        languages=study.languages,
        layout=Layout(settings.token, settings.tag, settings.scheme or "auto", settings.labels or ()),
        sizes=settings.sizes,
        progress=watcher.reading,
    )
    corpus = open_corpus(settings.name, request)
    model = study.model
    chosen, _ = problem(study.problem)
    labels = chosen.labels(corpus, study.encoding)
    pretrained = fit_head(
        load_pretrained(model.name), labels, head=model.head, renamed=model.labels, new_labels=model.new_labels
    )
    if pretrained.note and model.name.startswith("hub:"):
        watcher.noted(f"{model.name}: {pretrained.note}")
    longest = int(getattr(pretrained.config, "max_position_embeddings", None) or 10**9) - 2
    encoding = dataclasses.replace(study.encoding, max_tokens=min(study.encoding.max_tokens, longest))
    encoder = partial(_encode, chosen, pretrained, labels, encoding)
    dataset = Dataset(
        corpus=corpus,
        languages=study.languages,
        tokenizer=pretrained.tokenizer,
        tokenizer_fingerprint=pretrained.tokenizer_fingerprint,
        settings=encoding,
        cuts=study.corpus.cuts,
        sizes=study.corpus.sizes,
        cache=cache if may_be_cached(study.problem) else None,
        encoder=encoder,
        encoded_as="" if study.problem == DEFAULT else json.dumps([study.problem, labels]),
    )
    watcher.encoding(len(study.languages))
    encoded = dataset.encode(watcher.encoded)
    for said in said_of_notices(corpus):
        watcher.warned(said)
    facts = CorpusFacts.of(corpus, {language: dataset.cut(language) for language in study.languages})
    return Materials(facts, pretrained, encoding, encoded)


def _encode(
    chosen: Problem,
    pretrained: Pretrained,
    labels: Sequence[str],
    encoding: EncodingSettings,
    utterances: Sequence[Utterance],
    cut: Cut,
) -> Encoded:
    return chosen.encode(utterances, pretrained.tokenizer, labels=labels, cut=cut, settings=encoding)


def refuse_missing_dev(study: Study, encoded: Mapping[tuple[str, Split], Encoded]) -> None:
    """Say before the first step that a method or the scores need dev utterances which are not there.

    Raises:
        AttritionError: it does.
    """
    empty = [language for language in study.languages if not len(encoded[language, "dev"])]
    if empty and study.evaluate_on == "dev":
        raise AttritionError(f'evaluate_on = "dev", but {empty[0]} has no dev utterances. Set corpus.sizes.dev.')
    for choice in study.methods:
        if empty and (choice.training.keep == "best" or choice.training.patience is not None):
            raise AttritionError(
                f"{choice.method.name} keeps the best weights or stops early by dev utterances, but {empty[0]} has none. "
                'Set corpus.sizes.dev, or training.keep = "last" and no patience.'
            )


def vocabulary_of(study: Study, materials: Materials) -> Vocabulary:
    """The sub-tokens that the study looks up, or all of them where compaction is off."""
    pretrained = materials.pretrained
    if not study.model.compact:
        return whole_vocabulary(pretrained.vocabulary_size)
    named = (getattr(pretrained.config, f"{name}_token_id", None) for name in ("pad", "bos", "eos", "unk"))
    special = [token for token in named if isinstance(token, int)]
    return used_vocabulary((each.ids for each in materials.encoded.values()), special, pretrained.vocabulary_size)
