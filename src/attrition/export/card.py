"""The model card of an exported stage: scores by language in the Hub's format, data, licence, and code to load it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from attrition.languages.portions import language_of_portion
from attrition.store.stages import StoredEvaluation

_DATASETS = {"massive": ("AmazonScience/massive", "MASSIVE 1.1")}
"""Corpora on the Hub: id and title."""
_LICENCES = {"intfloat/multilingual-e5-small": "mit"}
_LOAD_MODEL = """\
from transformers import AutoModelForTokenClassification, PreTrainedTokenizerFast

model = AutoModelForTokenClassification.from_pretrained("{name}")
tokenizer = PreTrainedTokenizerFast.from_pretrained("{name}")
logits = model(**tokenizer("wake me up", return_tensors="pt")).logits
"""
_LOAD_ADAPTER = """\
from peft import PeftModel
from transformers import AutoModelForTokenClassification, PreTrainedTokenizerFast
base = AutoModelForTokenClassification.from_pretrained("{base}", num_labels={num_labels})
model, tokenizer = PeftModel.from_pretrained(base, "{name}"), PreTrainedTokenizerFast.from_pretrained("{name}")
logits = model(**tokenizer("wake me up", return_tensors="pt")).logits
"""


def model_card(
    name: str,
    *,
    spec: Mapping[str, Any] | None,
    step: int,
    evaluation: StoredEvaluation | None,
    base: str,
    adapter: bool,
    num_labels: int,
    notes: str = "",
) -> ModelCard:
    """Return the card of one stage; `model-index` in its front matter has F1 on each scored language.

    Args:
        name: of the Hub repository, or the folder to load.
        spec: of the run (`spec.json`), or None if no finished run has this stage. The card then has no scores and no data.
        step: index of the stage in the run's steps.
        evaluation: counts of the stage's model.
        base: the pretrained encoder: a name on the Hub, a folder, or "".
        adapter: True if the export is a PEFT adapter.
        num_labels: classes of the classifier.
        notes: more Markdown, after the code to load it.
    """
    corpus: Mapping[str, Any] = spec["corpus"] if spec else {"name": ""}
    corpus_name = str(corpus["name"])
    hub_id, title = _DATASETS.get(corpus_name, ("", corpus_name))
    on_hub = base if base and not Path(base).is_dir() else ""
    scored = eval_results(spec, evaluation) if spec and evaluation else None
    data = ModelCardData(
        model_name=name.rpartition("/")[2],
        language=_iso(_trained(spec, step)) if spec else None,
        license=_LICENCES.get(on_hub, "unknown"),
        library_name="peft" if adapter else "transformers",
        base_model=on_hub or None,
        datasets=[hub_id] if hub_id else None,
        metrics=["f1"] if scored else None,
        pipeline_tag="token-classification",
        tags=["attrition", "continual-learning"],
        eval_results=scored,
    )
    load = (_LOAD_ADAPTER if adapter else _LOAD_MODEL).format(name=name, base=base, num_labels=num_labels)
    parts = [f"# {name}", _about(spec, step), _scores(spec, evaluation), f"## Load it\n\n```python\n{load}```", notes]
    if adapter:
        parts[3] += "\n\n`labels.json` has the class of each number."
    encoder = on_hub or (spec["model"]["name"].partition(":")[0] + " encoder" if spec else "its encoder")
    if spec:
        parts.append(f"## Data\n\n{title}, {corpus['revision']}. Licence: {corpus['licence']}. {corpus['citation']}".rstrip())
    parts.append(
        f"## Licence\n\nThe weights derive from {encoder} and from the data. The licences of both apply: check them before "
        "you publish or use this model."
    )
    text = "\n\n".join(part for part in parts if part)
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{text}\n")


def eval_results(spec: Mapping[str, Any], evaluation: StoredEvaluation) -> list[EvalResult]:
    """Return F1 (0 to 1) on each language as the Hub's evaluation results, in the order of the study's languages."""
    hub_id, title = _DATASETS.get(spec["corpus"]["name"], (spec["corpus"]["name"],) * 2)
    return [
        EvalResult(
            task_type="token-classification",
            task_name="Slot filling",
            dataset_type=hub_id,
            dataset_name=f"{title} ({language})",
            dataset_config=language,
            dataset_split=spec["evaluate_on"],
            metric_type="f1",
            metric_name="Slot F1 (micro-averaged)",
            metric_value=round(evaluation.counts[language].f1, 6),
        )
        for language in _scored(spec, evaluation)
    ]


def _scored(spec: Mapping[str, Any], evaluation: StoredEvaluation) -> list[str]:
    named = [*spec["languages"], *spec.get("watch", ())]
    return [language for language in named if language in evaluation.counts]


def _about(spec: Mapping[str, Any] | None, step: int) -> str:
    if spec is None:
        return "A token classifier for slot filling. No finished run has this stage, so its scores are not known here."
    steps = spec["steps"]
    merged = steps[step].get("inputs")
    if merged:
        how = {name: value for name, value in steps[step]["how"].items() if name != "name" and value}
        settings = "".join(f", {name} = {value}" for name, value in how.items())
        learned = f"{len(merged)} models merged ({steps[step]['how']['name']}{settings}), of " + "; ".join(
            ", then ".join(_path(steps, each)) for each in merged
        )
    else:
        learned = f"languages in this order: {', '.join(_path(steps, step))}"
    return (
        f"A token classifier for slot filling, trained with attrition: method "
        f"{spec['name']}, {learned}. Seed {spec['seed']}, study {spec['study']!r}."
    )


def _path(steps: Sequence[Mapping[str, Any]], at: int | None) -> list[str]:
    """Return the languages that a stage's learner learned, from its first stage to this one."""
    path: list[str] = []
    while at is not None:
        path, at = ["+".join(steps[at]["languages"]), *path], steps[at]["start"]
    return path


def _trained(spec: Mapping[str, Any], step: int) -> list[str]:
    """Return the languages that a stage's model was trained on, in the order of the study's languages."""
    steps = spec["steps"]
    paths = [_path(steps, each) for each in steps[step].get("inputs", [step])]
    names = {language_of_portion(name, spec["languages"]) for path in paths for stage in path for name in stage.split("+")}
    return [language for language in spec["languages"] if language in names]


def _scores(spec: Mapping[str, Any] | None, evaluation: StoredEvaluation | None) -> str:
    if not spec or not evaluation:
        return ""
    lines = [f"| language | F1 | standard error | {spec['evaluate_on']} utterances |", "|---|---|---|---|"]
    for language in _scored(spec, evaluation):
        counts = evaluation.counts[language]
        error = counts.f1_error(evaluation.drawn_from.get(language))
        lines.append(f"| {language} | {100 * counts.f1:.2f} | {100 * error:.2f} | {len(counts.tp):,} |")
    return f"## Scores\n\n{spec['conventions']['score']}\n\n" + "\n".join(lines)


def _iso(languages: list[str]) -> list[str]:
    """Return the languages without their regions, each once."""
    return list(dict.fromkeys(language.split("-")[0] for language in languages))
