"""Results folders of strangers: what a file may hold, and how it is refused."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from types import ModuleType

import pytest

from attrition.names import AttritionError
from attrition.results.history import HISTORY_COLUMNS, read_history
from attrition.results.read import read_results

HEAD = ",".join(HISTORY_COLUMNS)


@pytest.fixture
def run(simulate: ModuleType, tmp_path: Path) -> Path:
    folder: Path = simulate.write_study(tmp_path, num_languages=2, methods=("VANILLA",))
    return next((folder / "runs").iterdir())


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("metrics.json", '{"cbt": NaN}', "NaN is no number of JSON"),
        ("metrics.json", '{"cbt": 1e999}', r"metrics\.json: 'cbt' is inf, but should be a finite number"),
        ("metrics.json", '{"cbt": 1%s}' % ("0" * 400), r"metrics\.json: 'cbt' is 1000.*but should be a finite number"),
        ("metrics.json", '{"cbt": 1, "cbt": 2}', "the key 'cbt' is there twice"),
        ("times.json", '{"data":' * 2_000, r"times\.json: nested deeper"),
        ("times.json", '{"data": %s}' % ("1" * 5_000), r"times\.json: not JSON: Exceeds the limit"),
        ("spec.json", '{"format": 1, "x": "\\ud800"}', r"spec\.json: half a surrogate pair"),
        ("matrix.csv", 'trained,"a\x1b[2J",b\na,0.5,0.5\n', r"matrix\.csv, line 1: 'a\\x1b\[2J' .* holds a control character"),
        ("history.csv", f"{HEAD}\n1,en-US,1,0.5\n", r"history\.csv, line 2: 4 cells, but the header has 7"),
        ("history.csv", f"{HEAD}\n1,en-US,1,0.5,0.5,1,true,\n", r"history\.csv, line 2: 8 cells, but the header has 7"),
        ("history.csv", f"{HEAD}\n1,en-US,1,low,0.5,1,true\n", r"line 2: 'train_loss' is 'low', but should be a number"),
        ("history.csv", f"{HEAD}\n1,en-US,x,0.1,0.5,1,true\n", r"line 2: 'epoch' is 'x', but should be a whole number"),
        ("history.csv", f"{HEAD}\n1,en-US,1,0.1,0.5,1,maybe\n", r"line 2: 'best' is 'maybe', but should be true or false"),
        ("history.csv", f'{HEAD}\n1,"en-US', r"history\.csv, line 2: not a table of epochs"),
    ],
)
def test_a_file_that_is_refused(name: str, text: str, said: str, run: Path) -> None:
    (run / name).write_text(text, encoding="utf-8")
    with pytest.raises(AttritionError, match=said) as caught:
        read_results(run.parents[1])
    assert str(run / name) in str(caught.value)


def test_numbers_of_a_specification_are_finite(run: Path) -> None:
    spec = json.loads((run / "spec.json").read_text())
    (run / "spec.json").write_text(json.dumps(spec).replace("1000000", "1e999"))
    with pytest.raises(AttritionError, match=r"spec\.json: parameters\.trainable: .* finite"):
        read_results(run.parents[1])


def test_a_folder_whose_name_cannot_be_printed(run: Path) -> None:
    try:
        run.rename(run.with_name("run\udce9"))
    except (OSError, UnicodeEncodeError):
        pytest.skip("this system has no such names")
    with pytest.raises(AttritionError, match="the name holds what cannot be printed"):
        read_results(run.parents[1])


def test_a_history_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    rows = ["1,en-US,1,inf,,0.500,false", "1,en-US,2,nan,0.25,0.5,true", '2,"de-DE+fr-FR",1,0.125,0.5,0.5,True']
    path.write_text(os.linesep.join([HEAD, *rows, ""]), newline="")
    frame = read_history(path)
    assert frame["epoch"].tolist() == [1, 2, 1]
    assert frame["best"].tolist() == [False, True, True]
    assert frame["trained"].tolist()[2] == "de-DE+fr-FR"
    assert [math.isnan(loss) for loss in frame["train_loss"]] == [True, True, False]
    assert math.isnan(frame["dev_f1"][0])
    assert frame["seconds"].tolist() == [0.5, 0.5, 0.5]
    assert list(read_history(tmp_path / "nowhere.csv").columns) == list(HISTORY_COLUMNS)
