"""The estimated cost of a study: sums over its stages, compared with a count of every batch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch

from attrition.engine import estimate as estimating
from attrition.engine.estimate import BYTES, estimate, refuse_too_large
from attrition.engine.measure import Kind, Line, Rates, kinds_of
from attrition.methods import Full, LoRA
from attrition.names import AttritionError
from attrition.prepare.prepare import Prepared
from attrition.study.keys import evaluation_key
from attrition.study.spec import Study
from attrition.training.batches import epoch_batches

Make = Callable[..., Study]
Ready = Callable[[Study], Prepared]

EN, DE, ZH = "en-US", "de-DE", "zh-CN"
TRAINED = LoRA(rank=4)
WEIGHTS = {Full(): 7.0, TRAINED: 11.0}
SAVING = {Full(): 2.0, TRAINED: 0.5}
LOADING = {Full(): 3.0, TRAINED: 0.25}


def rates_of(training: dict[Kind, Line]) -> Rates:
    return Rates(training, Line(0.0, 0.01), WEIGHTS, SAVING, LOADING)


def by_batch(prepared: Prepared, languages: tuple[str, ...], line: Line, *, epochs: int, batch_size: int) -> float:
    """Return the seconds of all steps in sequence."""
    lengths = np.concatenate([prepared.encoded[language, "train"].lengths for language in languages])
    seconds = 0.0
    for epoch in range(epochs):
        for rows in epoch_batches(lengths, batch_size, np.random.default_rng(epoch)):
            seconds += line.call + line.token * lengths[rows].sum()
    return seconds


def tokens(prepared: Prepared, languages: tuple[str, ...], split: str) -> int:
    sets = [prepared.encoded[language, split] for language in languages]  # type: ignore[index]
    return int(sum(each.lengths.sum() for each in sets))


def test_a_stage_is_its_batches_and_what_is_around_them(make_study: Make, prepared_of: Ready) -> None:
    """Two orders share their first stage; 24 utterances in batches of 7 leave a short one."""
    orders = [[EN, DE, ZH], [EN, ZH, DE]]
    prepared = prepared_of(make_study("training.batch_size=7", "machine.checkpoint_seconds=none", orders=orders))
    kind, line = Kind(Full(), 7, None, 1), Line(0.5, 0.125)
    found = estimate(prepared, rates_of({kind: line}))
    scored = 7.0 + 0.01 * tokens(prepared, (EN, DE, ZH), "test")
    expected = []
    for own in ([EN, DE, ZH], [ZH, DE]):
        seconds = 0.0
        for language in own:
            seconds += by_batch(prepared, (language,), line, epochs=2, batch_size=7)
            seconds += 2 * (7.0 + 0.01 * tokens(prepared, (language,), "dev"))
            seconds += 2.0 + 2 * 3.0 + scored
        expected.append(seconds)
    expected[0] += scored  # the model before training, which both runs score
    assert list(found.by_run.values()) == pytest.approx(expected)
    assert list(found.by_run) == [run.key for run in prepared.plan.runs]
    assert found.seconds == pytest.approx(sum(expected))
    assert found.disk_bytes == 5 * prepared.model.layout(Full()).size * BYTES
    spent = sum(by_batch(prepared, (job.languages[0],), line, epochs=2, batch_size=7) for job in prepared.plan.jobs.values())
    assert found.training == {"full, batches of 7": pytest.approx(5 * 2 * 24 / spent)}
    assert found.scoring == pytest.approx(30 / (0.01 * tokens(prepared, (EN, DE, ZH), "test")))


def test_what_is_there_costs_nothing(make_study: Make, prepared_of: Ready) -> None:
    prepared = prepared_of(make_study())
    (run,) = prepared.plan.runs
    of, stored = prepared.scored_on.of, frozenset(prepared.plan.jobs)
    scored = frozenset(evaluation_key(job.key, of(job)) for job in run.jobs)
    scored |= {evaluation_key(run.jobs[0].key, of(run.jobs[0], before=True), before=True)}
    nothing = estimate(prepared, rates_of({}), stored, scored)
    assert (nothing.seconds, nothing.disk_bytes, nothing.training) == (0.0, 0, {})
    once = 7.0 + 0.01 * tokens(prepared, (EN, DE, ZH), "test")
    assert estimate(prepared, rates_of({}), stored).seconds == pytest.approx(4 * once)
    # Not trained, but already scored: another folder's scores do not belong to this study, so only training remains.
    assert estimate(prepared, rates_of({Kind(Full(), 8, None, 1): Line(1.0, 0.0)}), frozenset(), scored).seconds > 3 * 2 * 3


def test_learners_side_by_side_share_the_time_of_a_step(make_study: Make, prepared_of: Ready) -> None:
    """Only the training steps; joint training reads all languages; epochs without dev utterances are not scored."""
    methods = [{"method": "NON-SHARED LoRA", "rank": 4, "alpha": 3}, {"method": "MULTI", "training": {"batch_size": 16}}]
    sizes = {"train": 24, "dev": 0, "test": 10}
    study = make_study(
        "machine.population=2",
        "machine.checkpoint_seconds=none",
        "training.keep=last",
        methods=methods,
        corpus={"name": "phrasebook", "sizes": sizes},
    )
    prepared = prepared_of(study)
    lora, joint = Kind(TRAINED, 8, None, 2), Kind(Full(), 16, None, 1)
    assert set(kinds_of(prepared, prepared.plan.jobs.values()).values()) == {lora, joint}
    lines = {lora: Line(1.0, 0.25), joint: Line(0.0, 2.0)}
    found = estimate(prepared, rates_of(lines))
    languages, test = (EN, DE, ZH), 0.01 * tokens(prepared, (EN, DE, ZH), "test")
    own = sum(by_batch(prepared, (each,), Line(0.5, 0.25), epochs=2, batch_size=8) for each in languages)
    together = by_batch(prepared, languages, lines[joint], epochs=2, batch_size=16)
    by_method = {run.method.name: found.by_run[run.key] for run in prepared.plan.runs}
    assert by_method["NON-SHARED LoRA"] == pytest.approx(own + 3 * (0.5 + 2 * 0.25 + 11.0 + test))
    befores = [run for run in prepared.plan.runs if run.method.name == "MULTI" and run.method.shared_by == "all"]
    assert by_method["MULTI"] == pytest.approx(together + 2.0 + 2 * 3.0 + (1 + len(befores)) * (7.0 + test))


def test_checkpoints_are_counted(make_study: Make, prepared_of: Ready) -> None:
    """By the clock, limited to a fiftieth of the time."""
    rates = rates_of({Kind(Full(), 8, None, 1): Line(1000.0, 0.0)})

    def seconds(every: str) -> float:
        return estimate(prepared_of(make_study(f"machine.checkpoint_seconds={every}")), rates).seconds

    # A stage takes 6 steps of 1,000 s and a few more; a checkpoint takes four times as long as a stage.
    assert seconds("500") - seconds("none") == pytest.approx(3 * 12 * 8.0)
    assert seconds("1") - seconds("none") == pytest.approx(3 * 15 * 8.0), "8 s are a fiftieth of 400 s"


def test_what_does_not_fit_is_refused(make_study: Make, prepared_of: Ready, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = prepared_of(make_study())
    refuse_too_large(prepared)
    monkeypatch.setattr(estimating, "memory_bytes", lambda _: 1000)
    with pytest.raises(AttritionError, match="this machine has 0 GB of memory"):
        refuse_too_large(dataclasses.replace(prepared, device=torch.device("cpu")))
