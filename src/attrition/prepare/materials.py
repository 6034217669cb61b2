"""Gathers the inputs of a study: encoded utterances, the encoder, and their sources for the results."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from attrition.corpus.base import Corpus, Cut, Split, Utterance
from attrition.corpus.dataset import Dataset, ranks
from attrition.corpus.describe import said_of_notices
from attrition.corpus.encoded import Encoded, EncodingSettings
from attrition.corpus.formats import Layout
from attrition.corpus.registry import Request, open_corpus
from attrition.encoder.head import fit_head
from attrition.encoder.pretrained import Pretrained
from attrition.encoder.sources import load_pretrained
from attrition.encoder.vocabulary import Vocabulary, used_vocabulary, whole_vocabulary
from attrition.names import AttritionError
from attrition.prepare.labels import with_labels_of
from attrition.prepare.portions import PortionFacts, read_portion, with_portions
from attrition.problem.base import Inventory, Problem
from attrition.problem.problems import DEFAULT, may_be_cached, problem
from attrition.streams import numpy_stream
from attrition.study.spec import Study
from attrition.study.spec_orders import equal_orders
from attrition.study.watcher import Watcher


@dataclass(frozen=True, kw_only=True)
class CorpusFacts:
    """A corpus without its utterances; `cuts` says how each language of the study is cut into words.

    `portions` are further data, by their names in the study's orders.
    """

    name: str
    revision: str
    licence: str
    citation: str
    generated: bool
    slots: tuple[str, ...]
    intents: tuple[str, ...] = ()
    fingerprint: str
    cuts: Mapping[str, Cut]
    portions: Mapping[str, PortionFacts] = field(default_factory=dict)

    @staticmethod
    def of(corpus: Corpus, cuts: Mapping[str, Cut]) -> CorpusFacts:
        """Return the facts of a corpus."""
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
    """The inputs of a study besides its settings; `encoded` holds ids of the model's whole vocabulary."""

    corpus: CorpusFacts
    pretrained: Pretrained
    encoding: EncodingSettings
    encoded: Mapping[tuple[str, Split], Encoded]


def gather(study: Study, watcher: Watcher, cache: Path | None) -> Materials:
    """Open the corpus, load the encoder and encode.

    Args:
        study: as read.
        watcher: receives progress.
        cache: folder for encoded languages, or None.

    Raises:
        AttritionError: something that the study names is missing or does not match.
    """
    settings = study.corpus
    layout = Layout(settings.token, settings.tag, settings.scheme or "auto", settings.labels or ())
    request = Request(
        path=None if settings.path is None else Path(settings.path),
        languages=study.scored,
        layout=layout,
        sizes=settings.sizes,
        progress=watcher.reading,
    )
    corpus = open_corpus(settings.name, request)
    inventory: Inventory = corpus
    model = study.model
    chosen, _ = problem(study.problem)
    pretrained = load_pretrained(model.name)
    if model.grow:
        inventory = with_labels_of(pretrained, corpus, model.labels)
    labels = chosen.labels(inventory, study.encoding)
    pretrained = fit_head(pretrained, labels, head=model.head, renamed=model.labels, new_labels=model.new_labels or model.grow)
    if pretrained.note and model.name.startswith("hub:"):
        watcher.noted(f"{model.name}: {pretrained.note}")
    longest = int(getattr(pretrained.config, "max_position_embeddings", None) or 10**9) - 2
    encoding = dataclasses.replace(study.encoding, max_tokens=min(study.encoding.max_tokens, longest))
    encoder = partial(_encode, chosen, pretrained, labels, encoding)
    dataset = Dataset(
        corpus=corpus,
        languages=study.scored,
        may_lack=study.watch,
        tokenizer=pretrained.tokenizer,
        tokenizer_fingerprint=pretrained.tokenizer_fingerprint,
        settings=encoding,
        cuts=study.corpus.cuts,
        sizes=study.corpus.sizes,
        cache=cache if may_be_cached(study.problem) else None,
        encoder=encoder,
        encoded_as="" if study.problem == DEFAULT and not model.grow else json.dumps([study.problem, labels]),
    )
    watcher.encoding(len(study.scored))
    encoded = with_memory(dataset.encode(watcher.encoded), model.learned)
    skipped: list[object] = []
    encoded, portions = with_portions(
        encoded,
        study.portions,
        lambda name, each: read_portion(name, each, layout, inventory.slots if chosen.tags else None, skipped.append),
        lambda utterances, language: encoder(utterances, dataset.cut(language)),
    )
    for said in [*said_of_notices([*getattr(corpus, "notices", ()), *skipped]), *equal_orders(study.orders)]:
        watcher.warned(said)
    facts = CorpusFacts.of(corpus, {language: dataset.cut(language) for language in study.scored})
    facts = dataclasses.replace(facts, slots=tuple(inventory.slots), portions=portions)
    return Materials(facts, pretrained, encoding, encoded)


def with_memory(encoded: Mapping[tuple[str, Split], Encoded], learned: Sequence[str]) -> dict[tuple[str, Split], Encoded]:
    """Return the utterances with replay data for each learned language.

    A language without train utterances uses half of its dev utterances for training, drawn at random by their ids. The other
    half stays dev.
    """
    found = dict(encoded)
    for language in learned:
        dev = encoded[language, "dev"]
        if not len(encoded[language, "train"]) and len(dev) > 1:
            order = np.argsort(ranks(dev.utterance_ids, int(numpy_stream("memory").integers(2**63))), kind="stable")
            half = len(dev) // 2
            found[language, "train"], found[language, "dev"] = (
                dev.select(np.sort(each)) for each in (order[:half], order[half:])
            )
    return found


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
    """Refuse a study that needs dev utterances but has none.

    Raises:
        AttritionError: a method or the scores need them.
    """
    empty = [language for language in study.scored if not len(encoded[language, "dev"])]
    if empty and study.evaluate_on == "dev":
        raise AttritionError(f'evaluate_on = "dev", but {empty[0]} has no dev utterances. Set corpus.sizes.dev.')
    empty = [language for language in empty if language in study.languages]
    for choice in study.methods:
        if empty and (choice.training.keep == "best" or choice.training.patience is not None):
            raise AttritionError(
                f"{choice.method.name} keeps the best weights or stops early by dev utterances, but {empty[0]} has none. "
                'Set corpus.sizes.dev, or training.keep = "last" and no patience.'
            )


def vocabulary_of(study: Study, materials: Materials) -> Vocabulary:
    """Return the sub-tokens that the study uses, or the whole vocabulary if compaction is off."""
    pretrained = materials.pretrained
    if not study.model.compact:
        return whole_vocabulary(pretrained.vocabulary_size)
    named = (getattr(pretrained.config, f"{name}_token_id", None) for name in ("pad", "bos", "eos", "unk"))
    special = [token for token in named if isinstance(token, int)]
    return used_vocabulary((each.ids for each in materials.encoded.values()), special, pretrained.vocabulary_size)
