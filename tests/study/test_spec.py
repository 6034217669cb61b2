"""A study file: every slip of the pen is answered with the file, the key, what is allowed and the nearest name."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from attrition.methods import METHODS, LoRA
from attrition.names import AttritionError
from attrition.store.folder import in_precision_of, name_of, read_results_study
from attrition.study.spec import Study, apply_change, build_study, read_study, resolve_orders, resolved
from attrition.study.standalone import study_files
from attrition.verify.verify import verify


def refused(raw: dict[str, Any], *words: str) -> None:
    with pytest.raises(AttritionError) as caught:
        build_study(raw, where="my.toml")
    message = str(caught.value)
    assert message.startswith("my.toml"), message
    for word in words:
        assert word in message, f"{word!r} is not in: {message}"


BAD: list[tuple[str, tuple[str, ...]]] = [
    # unknown names, at each depth
    ("langages=3", ("unknown setting 'langages'", "Did you mean 'languages'?", "Known: ", "seeds")),
    ("corpus.nam=\"massive\"", ("corpus", "'nam'", "'name'")),
    ("corpus.sizes.tran=5", ("corpus.sizes", "'tran'", "'train'", "Known: dev, disjoint, seed, test, train")),
    ("training.epoch=5", ("my.toml: training", "'epochs'")),
    ("training.full.lr=1", ("training.full", "'lr'")),
    ("training.lora.epoch=5", ("training.lora", "'epochs'")),
    ("training.full.full={}", ("training.full", "'full'")),
    ("machine.gpu=true", ("machine", "'gpu'")),
    ("encoding.scheme=\"bioes\"", ("encoding.scheme", "'bioes'", "Known: bio, io")),
    ("corpus.name=\"massiv\"", ("corpus.name", "Did you mean 'massive'?")),
    ("methods=[\"VANILA\"]", ("methods[0]", "Did you mean 'VANILLA'?", "SHARED LoRA")),
    ("methods=[{method=\"SHARED LoRA\", rnk=3}]", ("methods[0]", "'rnk'", "'rank'")),
    ("methods=[{method=\"GROUPED LoRA\", shared_by=\"scrpt\"}]", ("methods[0].shared_by", "'script'")),
    ("methods=[{method=\"VANILLA\", training={epohs=1}}]", ("methods[0].training", "'epochs'")),
    ("training.schedule=\"cosine\"", ("training.schedule", "linear", "constant")),
    ("orders=[\"paper-6\"]", ("orders[0]", "'paper-6'", "paper-1")),
    ("languages=[\"en-UK\", \"de-DE\"]", ("languages", "'en-UK' is not a locale", "Did you mean 'en-US'?")),
    # settings that would do nothing
    ("methods=[{method=\"VANILLA\", rank=8}]", ("methods[0]", "rank has no effect", "VANILLA")),
    ("methods=[{rank=8}]", ("methods[0]", "name the method")),
    # types
    ("name=5", ("name", "5", "string")),
    ("name=\"  \"", ("name is empty",)),
    ("languages=\"en-US\"", ("languages", "a list is expected", "brackets")),
    ("languages=[1, 2]", ("languages[0]", "1")),
    ("training.epochs=\"3\"", ("training.epochs", "'3'", "integer")),
    ("training.epochs=2.5", ("training.epochs", "2.5")),
    ("training.epochs=true", ("training.epochs", "true")),
    ("training.learning_rate=nan", ("training.learning_rate", "nan")),
    ("training.learning_rate=inf", ("training.learning_rate", "inf")),
    ("training=5", ("training", "a table is expected")),
    ("training.full=5", ("training.full", "a table is expected")),
    ("corpus=\"massive\"", ("corpus", "a table is expected")),
    ("model.compact=\"yes\"", ("model.compact", "boolean")),
    ("methods=\"MULTI\"", ("methods", "a list is expected")),
    ("methods=[5]", ("methods[0]", "a table is expected")),
    ("methods=[{method=5}]", ("methods[0].method", "5")),
    ("methods=[{method=\"VANILLA\", name=5}]", ("methods[0].name", "5")),
    ("methods=[{method=\"VANILLA\", name=\"\"}]", ("methods[0].name is empty",)),
    ("methods=[{method=\"VANILLA\", joint=\"yes\"}]", ("methods[0].joint", "boolean")),
    ("methods=[{method=\"SHARED LoRA\", alpha=nan}]", ("methods[0].alpha", "nan")),
    ("methods=[{method=\"SHARED LoRA\", targets=\"query\"}]", ("methods[0].targets", "list")),
    ("seeds=[true]", ("seeds[0]", "true")),
    ("seeds=0", ("seeds", "a list is expected")),
    ("orders=\"paper-1\"", ("orders", "a list is expected")),
    ("orders=[5]", ("orders[0]", "a list is expected")),
    ("orders=[[\"en-US\", 5, \"de-DE\"]]", ("orders[0][1]", "5")),
    ("corpus.cuts=\"characters\"", ("corpus.cuts",)),
    ("corpus.cuts={\"en-US\"=\"letters\"}", ("corpus.cuts", "'characters'")),
    # numbers out of range
    ("training.epochs=-1", ("training.epochs", "-1", "from 1")),
    ("training.dropout=1.5", ("training.dropout", "1.5")),
    ("corpus.sizes.train=0", ("corpus.sizes.train", "at least 1")),
    ("corpus.sizes.dev=-2", ("corpus.sizes.dev", "-2")),
    ("machine.threads=0", ("machine.threads",)),
    ("machine.threads=1000000", ("machine.threads", "1024")),
    ("machine.population=0", ("machine.population",)),
    ("encoding.max_tokens=-4", ("encoding.max_tokens", "at least 3")),
    ("methods=[{method=\"SHARED LoRA\", rank=0}]", ("methods[0]", "rank 0")),
    ("methods=[{method=\"SHARED LoRA\", dropout=1.0}]", ("methods[0]", "dropout")),
    # empty and repeated
    ("languages=[]", ("languages is empty",)),
    ("methods=[]", ("methods is empty",)),
    ("seeds=[]", ("seeds is empty",)),
    ("orders=[]", ("orders is empty",)),
    ("orders=[{name=\"mine\"}]", ("orders[0]", "needs both")),
    ("orders=[{nam=\"mine\"}]", ("orders[0]", "'nam'", "Did you mean 'name'?")),
    ("orders=[[]]", ("orders[0]",)),
    ("seeds=[1, 1]", ("seeds", "once")),
    ("languages=[\"en-US\", \"de-DE\", \"en-US\"]", ("languages", "'en-US' is at positions 1 and 3")),
    ("methods=[\"VANILLA\", \"vanilla\"]", ("methods[1]", "'VANILLA' is used twice")),
    ("methods=[\"SHARED LoRA\", \"SHARED LoRA\"]", ("methods[1]", "'SHARED LoRA r=32' is used twice")),
    ("orders=[\"random:1\", \"random:1\"]", ("orders[1]", "there are two orders 'random:1'")),
    # orders that do not fit the languages
    ("orders=[[\"en-US\", \"de-DE\"]]", ("orders[0]", "zh-CN missing")),
    ("orders=[[\"en-US\", \"de-DE\", \"zh-TW\"]]", ("orders[0]", "'zh-TW'", "Did you mean 'zh-CN'?")),
    ("orders=[\"file:nowhere.txt\"]", ("orders[0]", "nowhere.txt")),
]  # fmt: skip


@pytest.mark.parametrize(("change", "words"), BAD, ids=[change for change, _ in BAD])
def test_a_slip_is_named_before_anything_runs(change: str, words: tuple[str, ...], tiny: dict[str, Any]) -> None:
    raw = copy.deepcopy(tiny)
    apply_change(raw, change)
    refused(raw, *words)


@pytest.mark.parametrize("key", ["name", "languages", "methods"])
def test_what_a_study_needs(key: str, tiny: dict[str, Any]) -> None:
    refused({name: value for name, value in tiny.items() if name != key}, f"'{key}' is missing")


@pytest.mark.parametrize("name", ["", " de", "a+b"])
def test_a_language_of_the_users_own_has_a_name_that_fits_a_matrix(name: str, tiny: dict[str, Any]) -> None:
    refused({**tiny, "corpus": {"name": "columns", "path": "x"}, "languages": ["en", name]}, "cannot name a language")


def test_languages_of_the_users_own_are_free(tiny: dict[str, Any]) -> None:
    study = build_study({**tiny, "corpus": {"name": "columns", "path": "x"}, "languages": ["deutsch", "[bold]"]}, where="x")
    assert study.languages == ("deutsch", "[bold]")


# Files


def write(folder: Path, content: bytes | str) -> Path:
    path = folder / "study.toml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(AttritionError, match=r"nothing\.toml: cannot be read: No such file"):
        read_study(tmp_path / "nothing.toml")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(AttritionError, match=r"cannot be read: Is a directory"):
        read_study(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'name = "tiny\n', r"study\.toml: not TOML: .*line 1"),
        (b'{"name": "tiny"}', r"study\.toml: not TOML: .*line 1"),
        (b'name = "ti\xffny"', r"study\.toml: not UTF-8 text \(byte 10\)"),
        (b"", r"study\.toml: 'name' is missing"),
        (b"\x00\x01", r"study\.toml, line 1: the character U\+0000"),
        (b"a = " + b"[" * 100_000, r"study\.toml: nested deeper"),
        (b'name = "a"\nname = "b"', r"study\.toml: not TOML"),
    ],
    ids=["open-quote", "json", "latin-1", "empty", "binary", "deep", "twice"],
)
def test_what_is_not_a_study(content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(AttritionError, match=message):
        read_study(write(tmp_path, content))


def test_as_other_editors_save_it(tiny: dict[str, Any], tmp_path: Path) -> None:
    plain = tomli_w.dumps(tiny)
    expected = read_study(write(tmp_path, plain))
    assert read_study(write(tmp_path, b"\xef\xbb\xbf" + plain.replace("\n", "\r\n").encode())) == expected
    assert read_study(str(tmp_path / "study.toml")) == expected


# --set


def test_changes_of_the_command_line(tiny: dict[str, Any], tmp_path: Path) -> None:
    path = write(tmp_path, tomli_w.dumps(tiny))
    changes = ["training.epochs = 7", "model.name=tiny:xlm-roberta", 'methods=["MULTI", "MONO"]', "encoding.align=offsets"]
    study = read_study(path, [*changes, "training.lora.patience=2", "training.epochs=8"])
    assert [choice.method.name for choice in study.methods] == ["MULTI", "MONO"]
    assert (study.methods[0].training.epochs, study.model.name, study.encoding.align) == (8, "tiny:xlm-roberta", "offsets")


@pytest.mark.parametrize("change", ["epochs", "=3", "training..epochs=3", "", "training.=1"])
def test_a_change_without_a_key(change: str) -> None:
    with pytest.raises(AttritionError, match=re.escape(f"--set {change!r} is not KEY=VALUE")):
        apply_change({}, change)


def test_a_change_inside_what_is_no_table(tiny: dict[str, Any]) -> None:
    with pytest.raises(AttritionError, match="'name' is not a table"):
        apply_change(copy.deepcopy(tiny), "name.first=1")


# Methods and their training


def test_settings_for_full_and_for_lora(tiny: dict[str, Any]) -> None:
    training = {"epochs": 3, "learning_rate": 0.5, "full": {"learning_rate": 0.1}, "lora": {"learning_rate": 0.2, "epochs": 4}}
    own = {"method": "SHARED LoRA", "name": "mine", "training": {"epochs": 9}}
    study = build_study({**tiny, "training": training, "methods": ["VANILLA", "SHARED LoRA", own]}, where="x")
    assert [(each.training.learning_rate, each.training.epochs) for each in study.methods] == [(0.1, 3), (0.2, 4), (0.2, 9)]


def test_a_method_as_a_table(tiny: dict[str, Any]) -> None:
    given = {"method": "non-shared lora", "name": "families", "rank": 8, "alpha": 16, "shared_by": "family", "dropout": 0}
    (choice,) = build_study({**tiny, "methods": [given]}, where="x").methods
    assert choice.method.name == "families"
    assert choice.method.shared_by == "family"
    assert choice.method.trains == LoRA(rank=8, alpha=16.0, dropout=0.0)


def test_several_ranks_are_named_by_them(tiny: dict[str, Any]) -> None:
    ranks: list[Any] = [
        "SHARED LoRA",
        {"method": "SHARED LoRA", "rank": 64},
        {"method": "SHARED LoRA", "rank": 8, "name": "low"},
    ]
    study = build_study({**tiny, "methods": [*ranks, "NON-SHARED LoRA"]}, where="x")
    assert [each.method.name for each in study.methods] == ["SHARED LoRA r=32", "SHARED LoRA r=64", "low", "NON-SHARED LoRA"]


def test_a_grouping_file_lies_beside_the_study(tiny: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("locale,group\nen-US,west\nde-DE,west\nzh-CN,east\n")
    raw = {**tiny, "methods": [{"method": "GROUPED LoRA", "shared_by": "mine.csv"}]}
    (choice,) = read_study(write(tmp_path, tomli_w.dumps(raw))).methods
    assert choice.method.learner_of(["en-US", "zh-CN"]) == {"en-US": "west", "zh-CN": "east"}
    (tmp_path / "mine.csv").write_text("locale,group\nen-US,west\n")
    with pytest.raises(AttritionError, match=r"methods\[0\]\.shared_by.*de-DE"):
        read_study(tmp_path / "study.toml")


def test_a_file_of_languages_is_used_and_copied(tiny: dict[str, Any], tmp_path: Path) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    home.mkdir()
    other.mkdir()
    (home / "mine.csv").write_text("locale,family,joshi_class\nyor,Atlantic-Congo,2\nhau,Afro-Asiatic,2\n")
    raw = {
        **tiny,
        "languages": ["yor", "hau", "sr-Latn"],
        "orders": ["blocks:family", "sorted:joshi_class"],
        "methods": [{"method": "GROUPED LoRA", "shared_by": "family"}],
        "corpus": {"name": "columns", "path": "data", "languages": "mine.csv", "tag": -1, "scheme": "bilou", "labels": ["O"]},
    }
    study = read_study(write(home, tomli_w.dumps(raw)))
    for name, content in study_files(study).items():
        (other / name).write_bytes(content)
    again = read_study(other / "study.toml")
    for each in (study, again):
        assert resolve_orders(each) == {
            "blocks:family": (("hau",), ("yor",), ("sr-Latn",)),
            "sorted:joshi_class": (("hau",), ("yor",), ("sr-Latn",)),
        }
        groups = {"yor": "Atlantic-Congo", "hau": "Afro-Asiatic", "sr-Latn": "unknown"}
        assert each.methods[0].method.learner_of(each.languages, each.own) == groups
        assert (each.corpus.tag, each.corpus.scheme, each.corpus.labels) == (-1, "bilou", ("O",))
    (home / "mine.csv").write_text("locale,famly\n")
    with pytest.raises(AttritionError, match=r"mine\.csv, line 1: unknown column 'famly'"):
        read_study(home / "study.toml")


def test_a_corpus_of_ones_own_lies_beside_the_study(tiny: dict[str, Any], tmp_path: Path) -> None:
    raw = {**tiny, "languages": ["yor"], "corpus": {"name": "mine.py"}}
    with pytest.raises(AttritionError, match=r"corpus\.name: there is no file '.*mine\.py'"):
        read_study(write(tmp_path, tomli_w.dumps(raw)))
    (tmp_path / "mine.py").write_text("")
    assert read_study(tmp_path / "study.toml").corpus.name == str(tmp_path / "mine.py")


def test_names_of_orders(make_study: Callable[..., Study]) -> None:
    one = make_study()
    assert resolve_orders(one) == {"as-listed": (("en-US",), ("de-DE",), ("zh-CN",))}
    two = make_study(orders=[["zh-CN", "en-US", "de-DE"], "sorted:cc100_gib:desc"])
    assert list(resolve_orders(two)) == ["listed-1", "sorted:cc100_gib:desc"]
    assert resolve_orders(two)["listed-1"] == (("zh-CN",), ("en-US",), ("de-DE",))


def test_an_order_as_a_table_has_a_name_of_its_own(make_study: Callable[..., Study]) -> None:
    study = make_study(orders=[{"name": "mine", "languages": ["zh-CN", "en-US", "de-DE"]}, ["en-US", "de-DE", "zh-CN"]])
    mine, listed = (("zh-CN",), ("en-US",), ("de-DE",)), (("en-US",), ("de-DE",), ("zh-CN",))
    assert resolve_orders(study) == {"mine": mine, "listed-2": listed}


# Resolved


def test_a_resolved_study_needs_no_other_file_and_no_folder(
    tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    for folder in (home, home / "data", other):
        folder.mkdir()
    (home / "mine.txt").write_text("zh-CN de-DE en-US")
    (home / "groups.csv").write_text("locale,group\nen-US,west\nde-DE,west\nzh-CN,east\n")
    raw = {
        **tiny,
        "orders": ["file:mine.txt", "blocks:groups.csv", "random:1"],
        "methods": [{"method": "GROUPED LoRA", "shared_by": "groups.csv"}],
        "corpus": {"name": "columns", "path": "data"},
    }
    study = read_study(write(home, tomli_w.dumps(raw)))
    for name, content in study_files(study).items():
        (other / name).write_bytes(content)
    (home / "mine.txt").unlink()
    (home / "groups.csv").unlink()
    monkeypatch.chdir(tmp_path)
    again = read_study(other / "study.toml")
    assert resolve_orders(again) == resolve_orders(study)
    assert list(resolve_orders(again)) == ["file:mine.txt", "blocks:groups.csv", "random:1"]
    assert again.corpus.path == str(home / "data")
    groups = {"en-US": "west", "de-DE": "west", "zh-CN": "east"}
    assert again.methods[0].method.learner_of(list(groups)) == groups


def test_a_results_folder_goes_on_in_its_own_precision(tiny: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "environment.json").write_text("{}")
    path = write(tmp_path, tomli_w.dumps({**tiny, "model": {"name": "tiny:bert"}}))
    study = read_study(path)
    assert study.model.precision == in_precision_of(tmp_path, study).model.precision == "auto"
    write(tmp_path, tomli_w.dumps({**tiny, "model": {"name": "tiny:bert", "precision": "bfloat16"}}))
    assert in_precision_of(tmp_path, study).model.precision == read_results_study(tmp_path).model.precision == "bfloat16"


@pytest.mark.parametrize(
    "part",
    [{"methods": ["mine.py"]}, {"methods": [{"method": "mine.py"}]}, {"problem": "mine.py"}, {"corpus": {"name": "mine.py"}}],
)
def test_the_code_of_a_results_folder_is_not_run(part: dict[str, Any], tiny: dict[str, Any], tmp_path: Path) -> None:
    """The folder may be a stranger's."""
    (tmp_path / "environment.json").write_text("{}")
    (tmp_path / "mine.py").write_text(f"open({str(tmp_path / 'was-run')!r}, 'w')\n")
    write(tmp_path, tomli_w.dumps({**tiny, **part}))
    with pytest.raises(AttritionError, match=r"Python code of its own \(mine\.py\), which is not run"):
        read_results_study(tmp_path)
    assert name_of(tmp_path) == tiny["name"]
    settings = verify(tmp_path, sample=1).checks[0]
    assert (settings.problems, "mine.py" in settings.notes[0]) == ((), True)
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize("name", METHODS)
def test_a_resolved_study_reads_back_as_itself(name: str, make_study: Callable[..., Study], tmp_path: Path) -> None:
    changes = ('corpus.cuts={"zh-CN"="graphemes"}', "training.patience=2", "training.lora.dropout=0.2", "machine.population=3")
    study = make_study(*changes, methods=[name], seeds=[3, 1], orders=[["zh-CN", "en-US", "de-DE"], "random:4"])
    path = write(tmp_path, tomli_w.dumps(resolved(study)))
    again = read_study(path)
    assert build_study(resolved(study), where="x") == study
    assert resolved(again) == resolved(study)


@given(
    rank=st.integers(1, 300),
    alpha=st.none() | st.floats(0.1, 512),
    rate=st.floats(1e-6, 1),
    targets=st.lists(st.sampled_from(["query", "key", "value"]), min_size=1, unique=True),
    name=st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1),
)
def test_whatever_a_method_says_is_kept(rank: int, alpha: float | None, rate: float, targets: list[str], name: str) -> None:
    method = {"method": "MULTI LoRA", "name": name, "rank": rank, "targets": targets, **({"alpha": alpha} if alpha else {})}
    raw = {"name": "n", "languages": ["en-US"], "methods": [method], "training": {"learning_rate": rate}}
    study = build_study(raw, where="x")
    assert build_study(resolved(study), where="x") == study
