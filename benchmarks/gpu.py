"""Utterances a second on a GPU at XLM-R base size, and what the whole paper would take: `python -m benchmarks.gpu`.

Full fine-tuning (VANILLA), SHARED LoRA for five orders side by side and NON-SHARED LoRA for 1, 8 and 52 languages side by side,
against Trainer + PEFT one after another, both in bf16, with layers compiled and not. Weights are random, utterances have the
lengths of MASSIVE: speed asks for no more. Before that, a small training in float32 is compared with the same one on the CPU.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table
from transformers import AutoConfig, AutoModel

from attrition.corpus import release
from attrition.corpus.encoded import UNSCORED, Encoded
from attrition.corpus.words import label_set
from attrition.encoder.params import load_config
from attrition.encoder.precision import Precision
from attrition.encoder.pretrained import Pretrained, split_embeddings
from attrition.encoder.sources import load_pretrained
from attrition.encoder.tiny import byte_tokenizer
from attrition.encoder.vocabulary import Vocabulary
from attrition.methods import Full, LoRA, Trains
from attrition.training.model import Model, build_model
from attrition.training.settings import TrainingSettings
from benchmarks import baseline, common, ours
from benchmarks.paper import LANGUAGES, ORDERS, paper_costs

# Sub-tokens of a training utterance of MASSIVE in six languages under XLM-R's tokeniser: mean, standard deviation, shortest.
LENGTHS = (11.3, 4.54, 4)
WORDS_A_SUBTOKEN = 0.68  # of those between the special ones: 0.54 of all
KEPT = 119_337  # sub-tokens that MASSIVE uses in its 52 locales
ROWS = 7000  # sub-tokens that one language uses: 2,000 to 7,000 in MASSIVE
LIMITS = {"evaluation": 391_000, "non_shared": 179_000, "rank_256": 112_000, "full": 33_000}
"""Utterances/s that one H100 could reach in bfloat16 at XLM-R base size and 12 sub-tokens, if products alone took time."""
SETTINGS = TrainingSettings(epochs=1, learning_rate=1e-4, head_learning_rate=1e-4, keep="last")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is measured; utterances are for each learner."""

    model: str = "xlm-roberta-base"
    num_full: int = 6400
    num_shared: int = 6400
    num_non_shared: int = 1600
    num_theirs: int = 3200
    num_test: int = 20_000
    repeats: int = 3
    rank: int = 32
    high_rank: int = 256
    shared: int = ORDERS
    non_shared: int = LANGUAGES
    fewer: tuple[int, ...] = (1, 8)
    product_size: int = 8192


TOY = Plan(
    model="tiny:xlm-roberta",
    num_full=32,
    num_shared=32,
    num_non_shared=16,
    num_theirs=32,
    num_test=8,
    repeats=1,
    rank=4,
    high_rank=8,
    shared=2,
    non_shared=3,
    fewer=(1, 2),
    product_size=64,
)


def random_encoder(name: str) -> Pretrained:
    """An encoder of a published configuration with random weights: nothing is downloaded."""
    if name.startswith("tiny:"):
        return load_pretrained(name)
    sizes = dataclasses.asdict(load_config(name))
    config = AutoConfig.for_model(**{key: value for key, value in sizes.items() if key != "name"})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = AutoModel.from_config(config, add_pooling_layer=False)
    weights = {key: tensor.detach() for key, tensor in module.state_dict().items() if tensor.is_floating_point()}
    rest, rows = split_embeddings(weights)
    return Pretrained(
        name=f"random:{name}",
        config=config,
        tokenizer=byte_tokenizer(),  # only its padding is used
        weights=rest,
        rows=rows,
        fingerprint="random",
        tokenizer_fingerprint="random",
    )


def random_utterances(count: int, vocabulary: Vocabulary, num_labels: int, seed: int = 0) -> Encoded:
    """Utterances with MASSIVE's lengths, random sub-tokens of `vocabulary` (compact ids) as one language has, random labels."""
    stream = np.random.default_rng(seed)
    rows = np.arange(len(vocabulary)) if len(vocabulary) <= ROWS else stream.choice(len(vocabulary), ROWS, replace=False)
    mean, deviation, shortest = LENGTHS
    shape = ((mean - shortest) / deviation) ** 2
    lengths = shortest + stream.gamma(shape, (mean - shortest) / shape, count).round().astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    total = int(offsets[-1])
    words = stream.random(total) < WORDS_A_SUBTOKEN
    words[offsets[:-1] + 1] = True  # every utterance has a word
    words[offsets[:-1]] = words[offsets[1:] - 1] = False  # the special ones
    at = np.flatnonzero(words)
    utterance_W = np.searchsorted(offsets, at, side="right") - 1
    gold = np.where(stream.random(len(at)) < 0.7, 0, stream.integers(0, num_labels, len(at))).astype(np.int16)
    labels = np.full(total, UNSCORED, np.int16)
    labels[at] = gold
    return Encoded(
        ids=stream.choice(rows, total).astype(np.int32),
        labels=labels,
        offsets=offsets,
        gold=gold,
        word_token=(at - offsets[utterance_W]).astype(np.int32),
        word_inside=np.zeros(len(at), bool),
        word_offsets=np.concatenate([[0], np.cumsum(np.bincount(utterance_W, minlength=count))]).astype(np.int64),
        utterance_ids=np.array([str(number) for number in range(count)]),
    )


@dataclass(frozen=True, eq=False)
class Bench:
    """Everything that a measurement needs."""

    plan: Plan
    device: torch.device
    pretrained: Pretrained
    vocabulary: Vocabulary
    labels: tuple[str, ...]
    model: Model
    folder: Path

    @property
    def lora(self) -> LoRA:
        """The adapter measured."""
        return LoRA(rank=self.plan.rank)

    def utterances(self, count: int, seed: int = 0) -> Encoded:
        """Random ones, with compact ids."""
        return random_utterances(count, self.vocabulary, len(self.labels), seed)

    def train_ours(self, trains: Trains, learners: int, count: int) -> common.Prepare:
        """A pass of a population."""
        sets = [self.utterances(count, seed) for seed in range(learners)]
        starts = [self.model.start(trains, "gpu", number).clone for number in range(learners)]

        def prepare() -> Callable[[], object]:
            def timed() -> None:
                ours.train(self.model, trains, sets, starts, SETTINGS)

            return timed

        return prepare

    def theirs(self, trains: Trains) -> Any:
        """A model under the Trainer: whole, or with PEFT."""
        module = baseline.classifier(self.pretrained, self.labels)
        start = self.model.layout(Full()).unpack(self.model.start(Full(), "gpu"))
        baseline.set_full(module, self.pretrained, start)
        return baseline.with_lora(module, trains) if isinstance(trains, LoRA) else module

    def trainer(self, module: Any, rows: baseline.Features, *, grouped: bool) -> Any:
        """A fresh Trainer."""
        return baseline.make_trainer(
            module,
            baseline.padder(self.pretrained),
            self.labels,
            rows,
            SETTINGS,
            self.folder,
            grouped=grouped,
            device=self.device,
            bf16=self.device.type == "cuda",
        )

    def train_theirs(self, trains: Trains, *, grouped: bool = False) -> common.Prepare:
        """A pass of one learner; those of a population come one after another at the same speed."""
        module, rows = self.theirs(trains), self.rows(self.utterances(self.plan.num_theirs))

        def prepare() -> Callable[[], object]:
            trainer = self.trainer(module, rows, grouped=grouped)
            return lambda: trainer.train()

        return prepare

    def rows(self, encoded: Encoded) -> baseline.Features:
        """The same utterances with ids of the whole vocabulary."""
        return baseline.features(dataclasses.replace(encoded, ids=self.vocabulary.kept[encoded.ids].astype(np.int32)))


def agreement(device: torch.device) -> dict[str, float]:
    """Return how far training in float32 on a device is from the CPU: the largest differences of a weight and of a class score.

    A tiny model, no dropout (a GPU draws other masks), full fine-tuning and LoRA.
    """
    vocabulary = Vocabulary(np.arange(300), 300)
    pretrained = load_pretrained("tiny:xlm-roberta")
    settings = dataclasses.replace(SETTINGS, dropout=0.0, batch_size=8, learning_rate=1e-3)
    sets = [random_utterances(64, vocabulary, 5)]
    found: dict[str, float] = {}
    for trains in (Full(), LoRA(rank=4, dropout=0.0)):
        flats = []
        for place in (torch.device("cpu"), device):
            model = build_model(pretrained, vocabulary, label_set(("a", "b"), "bio"), place)
            (finished,) = ours.train(model, trains, sets, [model.start(trains, "agreement").clone], settings)
            flats.append(finished.flat.cpu())
        found[trains.kind] = float((flats[0] - flats[1]).abs().max())
    return found


def run(plan: Plan, device: torch.device, *, compiled: bool = False) -> dict[str, Any]:
    """Measure all sides in turns."""
    torch.set_float32_matmul_precision("high")  # for both sides
    pretrained = random_encoder(plan.model)
    kept = np.unique(np.linspace(0, pretrained.vocabulary_size - 1, KEPT).astype(np.int64))
    vocabulary = Vocabulary(kept, pretrained.vocabulary_size)
    labels = label_set(release.SLOTS, "bio")
    precision: Precision = "bfloat16" if device.type == "cuda" else "float32"
    model = build_model(pretrained, vocabulary, labels, device, precision, compiled)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(plan, device, pretrained, vocabulary, labels, model, Path(folder))
        lora, test = bench.lora, bench.utterances(plan.num_test, seed=999)
        flat_P, evaluated, test_rows = model.start(lora, "gpu"), bench.theirs(lora), bench.rows(test)

        def evaluate_ours() -> Callable[[], object]:
            def timed() -> None:
                ours.evaluate(model, lora, flat_P, {"test": test})

            return timed

        def evaluate_theirs() -> Callable[[], object]:
            trainer = bench.trainer(evaluated, test_rows, grouped=True)
            return lambda: trainer.predict(test_rows)

        sides: dict[str, tuple[int, common.Prepare]] = {
            "full": (plan.num_full, bench.train_ours(Full(), 1, plan.num_full)),
            "shared": (plan.shared * plan.num_shared, bench.train_ours(lora, plan.shared, plan.num_shared)),
            "non_shared": (
                plan.non_shared * plan.num_non_shared,
                bench.train_ours(lora, plan.non_shared, plan.num_non_shared),
            ),
            **{
                f"non_shared_{count}": (count * plan.num_non_shared, bench.train_ours(lora, count, plan.num_non_shared))
                for count in plan.fewer
            },
            "rank_256": (
                plan.shared * plan.num_shared,
                bench.train_ours(LoRA(rank=plan.high_rank), plan.shared, plan.num_shared),
            ),
            "evaluation": (plan.num_test, evaluate_ours),
            "trainer_full": (plan.num_theirs, bench.train_theirs(Full())),
            "trainer_lora": (plan.num_theirs, bench.train_theirs(lora)),
            "trainer_lora_by_length": (plan.num_theirs, bench.train_theirs(lora, grouped=True)),
            "trainer_evaluation": (plan.num_test, evaluate_theirs),
        }
        seconds = common.interleave({name: side for name, (_, side) in sides.items()}, plan.repeats, device=device)
        tokens = bench.utterances(plan.num_non_shared).num_tokens / plan.num_non_shared
    rates = {name: count / statistics.median(seconds[name]) for name, (count, _) in sides.items()}
    half = torch.bfloat16 if device.type == "cuda" else torch.float32
    card = common.product_rate(device, sizes=(plan.product_size,), dtype=half)
    operations = {trains.kind: common.operations_a_token(model, trains) for trains in (Full(), lora)}
    each = {"full": operations["full"][0], "shared": operations["lora"][0], "non_shared": operations["lora"][0]}
    each |= {"trainer_full": each["full"], "trainer_lora": each["shared"], "evaluation": operations["lora"][1]}
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else common.peak_memory()
    return {
        "full_ratio": rates["full"] / rates["trainer_full"],
        "shared_ratio": rates["shared"] / rates["trainer_lora"],
        "non_shared_ratio": rates["non_shared"] / rates["trainer_lora"],
        "evaluation_ratio": rates["evaluation"] / rates["trainer_evaluation"],
        "utterances_a_second": rates,
        "share_of_card": {name: rates[name] * tokens * count / card for name, count in each.items()},
        "share_of_limit": {name: rates[name] / limit for name, limit in LIMITS.items()},
        "card_operations_a_second": card,
        "seconds": seconds,
        "subtokens_an_utterance": tokens,
        "precision": precision,
        "compiled": compiled,
        "peak_bytes": peak,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "plan": dataclasses.asdict(plan),
    }


def extrapolate(rates: dict[str, float], epochs: float) -> dict[str, Any]:
    """Hours of the whole paper, ours and theirs."""
    theirs = {
        "full": rates["trainer_full"],
        "shared": rates["trainer_lora"],
        "non_shared": rates["trainer_lora"],
        "evaluation": rates["trainer_evaluation"],
    }
    costs = {"ours": paper_costs(rates, epochs), "trainer": paper_costs(theirs, epochs)}
    return {
        "epochs": epochs,
        "hours": {side: sum(cost.training_hours + cost.evaluation_hours for cost in each) for side, each in costs.items()},
        **{side: [dataclasses.asdict(cost) for cost in each] for side, each in costs.items()},
    }


def show(result: dict[str, Any]) -> None:
    """Print a result as tables."""
    rates = result["utterances_a_second"]
    speed = Table(
        title=f"{result['plan']['model']} on {result['device']}, {result['precision']}{', compiled' * result['compiled']}"
    )
    for column in ("", "utterances/s", "share of the card"):
        speed.add_column(column, justify="right" if column else "left")
    for name, rate in rates.items():
        share = result["share_of_card"].get(name)
        speed.add_row(name, f"{rate:,.0f}", "" if share is None else f"{share:.2f}")
    common.console.print(speed)
    paper = Table(title=f"the whole paper at {result['paper']['epochs']:g} epochs")
    for column in ("", "hours", "arithmetic"):
        paper.add_column(column, justify="right" if column == "hours" else "left", overflow="fold")
    for cost in result["paper"]["ours"]:
        paper.add_row(cost["method"], f"{cost['training_hours'] + cost['evaluation_hours']:.2f}", cost["arithmetic"])
    hours = result["paper"]["hours"]
    paper.add_row("all", f"{hours['ours']:.1f}", f"Trainer, one after another, at its own speeds: {hours['trainer']:.1f}")
    common.console.print(paper)


def main(arguments: list[str]) -> dict[str, Any]:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--toy", action="store_true", help="a tiny model on the CPU: for tests")
    parser.add_argument("--epochs", type=float, default=5.0, help="of a stage, for the extrapolation")
    parser.add_argument("--out", type=Path, default=common.RESULTS / "gpu.json")
    given = parser.parse_args(arguments)
    if not given.toy and not torch.cuda.is_available():
        parser.exit(1, "torch sees no GPU here. Run this on a machine with one, or see that it works with --toy.\n")
    device = torch.device("cpu" if given.toy else "cuda")
    agrees = agreement(device)
    result = run(TOY if given.toy else Plan(), device)
    result["differs_from_cpu"] = agrees
    if not given.toy:  # the compiler takes minutes on a CPU
        torch.cuda.reset_peak_memory_stats(device)
        result["with_compiled_layers"] = run(Plan(), device, compiled=True)
    result["paper"] = extrapolate(result["utterances_a_second"], given.epochs)
    result |= common.facts(common.command_of("gpu", arguments))
    common.write_result(given.out, result)
    show(result)
    return result


if __name__ == "__main__":
    main(sys.argv[1:])
