"""One list of corpora: the package's own, a Python file, an installed package's entry point."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import pytest

from attrition import registry
from attrition.corpus import Corpus, InMemory, Slot, tagged
from attrition.corpus import registry as corpora_of
from attrition.corpus.formats import Layout
from attrition.corpus.registry import CORPORA, CorpusKind, Request, open_corpus, refuse_other_languages, refuse_unknown_corpus
from attrition.names import AttritionError
from attrition.registry import Registry

EXAMPLE = Path(__file__).parents[2] / "examples" / "my_corpus.py"
SENTENCES = """\
language,split,sentence
yor,train,*LOC Èkó* tóbi gan
yor,train,*PER Adé Ojo* ti dé
swa,test,Ninaenda *LOC Mji Mkuu* kesho
"""


def test_the_example_is_a_corpus(tmp_path: Path) -> None:
    path = tmp_path / "sentences.csv"
    path.write_text(SENTENCES, encoding="utf-8")
    corpus: Corpus = open_corpus(str(EXAMPLE), Request(path=path))
    assert (corpus.name, corpus.languages, corpus.slots) == ("my-corpus", ("swa", "yor"), ("LOC", "PER"))
    first, second = corpus.read("yor", "train")
    assert (first.id, first.text, first.slots) == ("yor/train/1", "Èkó tóbi gan", (Slot(0, 3, "LOC"),))
    assert second.slots == (Slot(0, 7, "PER"),)
    assert (corpus.splits("yor"), corpus.default_cut("yor"), corpus.intents) == (("train",), "blanks", ())
    again = open_corpus(str(EXAMPLE), Request(path=path))
    assert corpus.fingerprint == again.fingerprint
    path.write_text(SENTENCES.replace("kesho", "leo"), encoding="utf-8")
    assert open_corpus(str(EXAMPLE), Request(path=path)).fingerprint != corpus.fingerprint


def test_memory_refuses_what_it_has_not() -> None:
    corpus = InMemory({("yor", "train"): [tagged(["a"], ["O"])]}, name="mine", cuts={"yor": "characters"})
    assert corpus.default_cut("yor") == "characters"
    with pytest.raises(AttritionError, match=r"mine: unknown language 'you'. Did you mean 'yor'"):
        corpus.read("you", "train")
    with pytest.raises(AttritionError, match="mine: yor: unknown split 'test'"):
        corpus.read("yor", "test")
    with pytest.raises(AttritionError, match="unknown split 'tarin'"):
        InMemory({("yor", "tarin"): []}, name="mine")  # type: ignore[dict-item]
    with pytest.raises(AttritionError, match="two utterances have one id"):
        InMemory({("yor", "train"): [tagged(["a"], ["O"], name="1")] * 2}, name="mine")
    with pytest.raises(AttritionError, match="1 words and 2 tags"):
        tagged(["a"], ["O", "O"])
    with pytest.raises(AttritionError, match="'a b' is empty or holds a blank"):
        tagged(["a b"], ["O"])


KIND = (
    "from attrition.corpus.registry import CorpusKind\nKIND = CorpusKind(name='mine', about='mine', open=lambda request: {})\n"
)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (None, "There is no file"),
        ("x = 1\n", "holds no CorpusKind at its top level"),
        (KIND.format("3"), "`open` gave 'int', which has no name, revision"),
        ("import nothing_of_this_name\n", "does not run: ModuleNotFoundError"),
        ("raise SystemExit(0)\n", "does not run: SystemExit"),
        ("def open_corpus(:\n", "does not run: SyntaxError"),
    ],
)
def test_a_file_that_opens_no_corpus_is_a_sentence(tmp_path: Path, code: str | None, said: str) -> None:
    path = tmp_path / "mine.py"
    if code is not None:
        path.write_text(code)
    with pytest.raises(AttritionError, match=said):
        open_corpus(str(path), Request())


def test_an_entry_point_of_a_package_is_a_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint("theirs", "their_package:KIND", "attrition.corpora"),
        EntryPoint("massive", "their_package:KIND", "attrition.corpora"),
        EntryPoint("broken", "no_such_package", "attrition.corpora"),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: points if group == "attrition.corpora" else [])
    theirs = InMemory({("yor", "train"): [tagged(["a"], ["O"])]}, name="theirs")
    kind = CorpusKind(name="theirs", about="of a package", open=lambda request: theirs)
    monkeypatch.setitem(sys.modules, "their_package", SimpleNamespace(KIND=kind))  # type: ignore[arg-type]
    corpora = Registry[CorpusKind]("corpus", "attrition.corpora", dict(CORPORA), CorpusKind)
    monkeypatch.setattr(corpora_of, "CORPORA", corpora)
    assert list(corpora) == ["massive", "phrasebook", "columns", "theirs", "broken"]
    assert corpora["massive"] is CORPORA["massive"], "no package can replace one of ours"
    assert open_corpus("theirs", Request()) is theirs
    with pytest.raises(AttritionError, match=r"'broken' \(no_such_package\) cannot be imported"):
        open_corpus("broken", Request())


def test_what_makes_no_sense_for_a_corpus_is_refused(tmp_path: Path) -> None:
    for name in ("massive", "phrasebook"):
        with pytest.raises(AttritionError, match=r"corpus\.scheme and corpus\.labels are for corpus\.name = \"columns\" only"):
            open_corpus(name, Request(layout=Layout(tag=1)))
    with pytest.raises(AttritionError, match="has no effect: the phrasebook is generated"):
        open_corpus("phrasebook", Request(path=tmp_path))
    with pytest.raises(AttritionError, match=r"Unknown corpus 'colums'. Did you mean 'columns'"):
        open_corpus("colums", Request())
    with pytest.raises(AttritionError, match="study: unknown corpus 'colums'"):
        refuse_unknown_corpus("colums", where="study")
    with pytest.raises(AttritionError, match=r"study: there is no file 'mine.py'"):
        refuse_unknown_corpus("mine.py", where="study")


def test_only_some_corpora_have_massives_languages_only() -> None:
    refuse_other_languages("columns", "yor", where="languages")
    refuse_other_languages("my_corpus.py", "yor", where="languages")
    with pytest.raises(AttritionError, match=r"languages: 'ed-US' is not a locale of MASSIVE 1.1. Did you mean 'en-US'"):
        refuse_other_languages("phrasebook", "ed-US", where="languages")
