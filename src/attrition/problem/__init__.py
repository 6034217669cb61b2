"""Problems and their scores: slot filling, intents, or a user's own problem."""

from attrition.problem.base import Counter, Inventory, Problem, word_predictions
from attrition.problem.counts import Counts
from attrition.problem.intents import count_labels
from attrition.problem.problems import PROBLEMS, problem
from attrition.problem.slots import SlotFilling, TagTable

__all__ = [
    "PROBLEMS",
    "Counter",
    "Counts",
    "Inventory",
    "Problem",
    "SlotFilling",
    "TagTable",
    "count_labels",
    "problem",
    "word_predictions",
]
