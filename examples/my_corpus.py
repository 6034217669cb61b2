"""A corpus of one's own in one file: reads a CSV file of sentences in which the entities stand between stars.

    language,split,sentence
    yor,train,*LOC Èkó* tóbi gan

Use it in a study file:

    [corpus]
    name = "my_corpus.py"
    path = "sentences.csv"
"""

import csv
from pathlib import Path

from attrition.corpus import InMemory, tagged
from attrition.corpus.registry import CorpusKind


def words_and_tags(sentence):
    """Return the words of a sentence and their BIO tags."""
    words, tags = [], []
    for number, part in enumerate(sentence.split("*")):
        name, *inside = part.split() if number % 2 else ("", *part.split())  # every second part is an entity
        words += inside
        tags += ["O"] * len(inside) if not name else [f"{'I' if place else 'B'}-{name}" for place in range(len(inside))]
    return words, tags


def open_corpus(request):
    """Return the corpus. `request.path` is what the study's `corpus.path` says."""
    utterances = {}
    with Path(request.path).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            words, tags = words_and_tags(row["sentence"])
            utterances.setdefault((row["language"], row["split"]), []).append(tagged(words, tags))
    return InMemory(utterances, name="my-corpus", licence="CC0", citation="Somebody, 2026")


MY_CORPUS = CorpusKind(name="my-corpus", about="sentences with stars around entities", open=open_corpus)
