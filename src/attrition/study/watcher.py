"""Who is told what a study is doing. The default says nothing; the command line draws progress bars."""

from __future__ import annotations

from attrition.study.plan import Job, RunPlan, StudyPlan
from attrition.training.train import Epoch


class Watcher:
    """Receives the progress of a study. Override the methods you need; each does nothing by default."""

    def reading(self, what: str, done: int, total: int) -> None:
        """Called while a corpus is unpacked or read."""

    def encoding(self, num_languages: int) -> None:
        """Called before `num_languages` languages are encoded."""

    def encoded(self, language: str) -> None:
        """Called when a language is encoded."""

    def packing(self, what: str, done: int, total: int) -> None:
        """Called while a pack is written."""

    def planned(self, plan: StudyPlan, work: int, done: int) -> None:
        """Called when training starts. `work`: utterances to process in total. `done`: processed in earlier runs."""

    def started(self, job: Job) -> None:
        """Called when a stage starts."""

    def resumed(self, job: Job, step: int) -> None:
        """Called when a stage resumes from its checkpoint after `step` steps."""

    def trained(self, num_utterances: int) -> None:
        """Called after each training step."""

    def epoch_ended(self, key: str, epoch: Epoch) -> None:
        """Called when a learner ends an epoch; `key` is the stage's."""

    def finished(self, job: Job, unused: int) -> None:
        """Called when a stage is stored. `unused`: utterances that early stopping left unprocessed."""

    def scoring(self, label: str) -> None:
        """Called before a model is scored on the test sets."""

    def run_finished(self, run: RunPlan) -> None:
        """Called when a run is complete and its results are written."""

    def noted(self, message: str) -> None:
        """Called with information for the user."""

    def warned(self, message: str) -> None:
        """Called with a warning for the user."""
