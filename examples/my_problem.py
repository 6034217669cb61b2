"""A problem of one's own in one file: slot filling, scored by the share of words with the right tag.

Use it in a study file:

    problem = "my_problem.py"
"""

from functools import partial

from attrition.problem import Counter, SlotFilling, TagTable, count_labels


class TokenAccuracy(SlotFilling):
    """Labels and encoding are those of slot filling; only the count is another."""

    name = "token-accuracy"
    score = "token accuracy"
    definition = "the share of words with the right tag, O included"
    macro = True

    def counter(self, labels):
        """Return what counts words, tag by tag."""
        count = partial(count_labels, num_classes=len(labels))
        return Counter(names=tuple(labels), inside=TagTable.of(labels).inside, count=count)


TOKEN_ACCURACY = TokenAccuracy()
