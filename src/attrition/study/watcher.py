"""Who is told what a study is doing. The default says nothing; the command line draws progress bars."""

from __future__ import annotations

from attrition.study.plan import Job, RunPlan, StudyPlan
from attrition.training.train import Epoch, Task


class Watcher:
    """Every method may be overridden; none needs to be."""

    def reading(self, what: str, done: int, total: int) -> None:
        """A corpus is being unpacked or read."""

    def encoding(self, num_languages: int) -> None:
        """So many languages are about to be encoded."""

    def encoded(self, language: str) -> None:
        """A language has been encoded."""

    def packing(self, what: str, done: int, total: int) -> None:
        """A pack is being written."""

    def planned(self, plan: StudyPlan, work: int, done: int) -> None:
        """Training begins: `work` utterance-passes in all at most, of which `done` lie in the store already."""

    def started(self, job: Job) -> None:
        """A stage begins."""

    def resumed(self, job: Job, step: int) -> None:
        """A stage goes on from its checkpoint, `step` steps after its beginning."""

    def trained(self, num_utterances: int) -> None:
        """One step was made."""

    def epoch_ended(self, task: Task, epoch: Epoch) -> None:
        """One learner ended an epoch."""

    def finished(self, job: Job, unused: int) -> None:
        """A stage is stored; `unused` utterance-passes were not needed, since it stopped early."""

    def scoring(self, label: str) -> None:
        """A model is about to be scored on the test sets."""

    def run_finished(self, run: RunPlan) -> None:
        """All stages of a run are there, and its results are written."""

    def noted(self, message: str) -> None:
        """Something that a person may like to know."""

    def warned(self, message: str) -> None:
        """Something that a person must know."""
