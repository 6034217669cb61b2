"""Corpora: MASSIVE, the phrasebook, a user's own files; words and labels; flat arrays of sub-tokens."""

from attrition.corpus.base import Corpus, Slot, Split, Utterance
from attrition.corpus.memory import InMemory, tagged

__all__ = ["Corpus", "InMemory", "Slot", "Split", "Utterance", "tagged"]
