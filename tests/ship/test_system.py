"""A checkpoint as a system of the gate predicts what transformers predicts, one utterance at a time."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForTokenClassification, PreTrainedTokenizerFast

from attrition.gate.rows import Row
from attrition.gate.sources import Routed
from attrition.names import AttritionError
from attrition.ship.system import open_system

SENTENCES = [("wake", "me", "at", "fünf"), ("ตั้งปลุก",), ("a b", "c"), ("wake", "me", "at", "fünf"), ("x",) * 40, ()]


def rows(sentences: list[tuple[str, ...]] = SENTENCES, language: str = "all") -> list[Row]:
    return [Row("f", number, "", language, words, ("O",) * len(words), None, {}) for number, words in enumerate(sentences)]


def alone(module: torch.nn.Module, folder: Path, words: tuple[str, ...], labels: dict[int, str]) -> list[str]:
    """The tags by transformers' own tokeniser, without a batch."""
    given = PreTrainedTokenizerFast.from_pretrained(folder)(list(words), is_split_into_words=True, return_tensors="pt")
    with torch.no_grad():
        classes = module(**{key: given[key] for key in ("input_ids", "attention_mask")}).logits[0].argmax(-1).tolist()
    tokens = given.tokens()
    found = []
    for word in range(len(words)):
        own = [at for at, each in enumerate(given.word_ids()) if each == word]
        found.append(labels[classes[next((at for at in own if tokens[at] != "▁"), own[0])]])
    return found


def test_a_checkpoint_tags_as_transformers_does(tagger: Path) -> None:
    module = AutoModelForTokenClassification.from_pretrained(tagger)
    got = open_system(str(tagger)).tags(rows())
    assert [list(each) for each in got[:-1]] == [
        alone(module, tagger, words, module.config.id2label) for words in SENTENCES[:-1]
    ]
    assert got[-1] == ()
    assert len({tag for each in got for tag in each}) > 1  # the comparison says something


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft asks transformers for it
def test_an_adapter_with_a_larger_head_tags_as_peft_does(tagger: Path, adapter: Path) -> None:
    peft = pytest.importorskip("peft")
    labels = dict(enumerate(json.loads((adapter / "labels.json").read_text())))
    assert len(labels) == 7
    base = AutoModelForTokenClassification.from_pretrained(tagger, id2label=labels, ignore_mismatched_sizes=True)
    module = peft.PeftModel.from_pretrained(base, adapter).eval()
    got = open_system(str(adapter)).tags(rows(SENTENCES[:-1]))
    assert [list(each) for each in got] == [alone(module, tagger, words, labels) for words in SENTENCES[:-1]]


def test_words_beyond_the_longest_input_are_o(tagger: Path) -> None:
    (tags,) = open_system(str(tagger)).tags(rows([("x",) * 2000]))
    assert len(tags) == 2000
    assert set(tags[600:]) == {"O"}


def test_a_route_gives_the_update_its_languages_only() -> None:
    class Fixed:
        def __init__(self, tag: str) -> None:
            self.name = self._tag = tag

        def tags(self, test: list[Row]) -> list[tuple[str, ...]]:
            return [(self._tag,) * len(row.words or ()) for row in test]

    test = [*rows([("a",)], "de"), *rows([("b", "c")], "th"), *rows([("d",)], "de")]
    routed = Routed(Fixed("old"), Fixed("new"), ("th",))  # type: ignore[arg-type]
    assert routed.tags(test) == [("old",), ("new", "new"), ("old",)]
    with pytest.raises(AttritionError, match="tn"):
        Routed(Fixed("old"), Fixed("new"), ("tn",)).tags(test)  # type: ignore[arg-type]


def test_what_is_no_tagger_is_refused(tagger: Path, adapter: Path, tmp_path: Path) -> None:
    bare = shutil.copytree(tagger, tmp_path / "bare")
    config = json.loads((bare / "config.json").read_text())
    (bare / "config.json").write_text(json.dumps({**config, "architectures": ["XLMRobertaForMaskedLM"]}))
    with pytest.raises(AttritionError, match=r"does not label tokens: its config\.json names XLMRobertaForMaskedLM"):
        open_system(str(bare))
    unnamed = shutil.copytree(adapter, tmp_path / "unnamed")
    (unnamed / "labels.json").unlink()
    with pytest.raises(AttritionError, match=r"what its 7 classes are. Write labels.json"):
        open_system(str(unnamed))
    (unnamed / "labels.json").write_text('["O"]')
    with pytest.raises(AttritionError, match="must be a list of 7 names"):
        open_system(str(unnamed))
    with pytest.raises(AttritionError, match="no words"):
        open_system(str(tagger)).tags([Row("f", 3, "", "de", None, ("O",), None, {})])
