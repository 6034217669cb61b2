"""R, the basis of all other results: a score per stage and language.

Shape letters: S stages, L languages (columns).
"""

from __future__ import annotations

import csv
import io
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attrition.files import write_whole
from attrition.languages.portions import language_of_portion
from attrition.names import AttritionError, unknown
from attrition.reading import read_text

if TYPE_CHECKING:
    import pandas as pd

Scalar = TypeVar("Scalar", bound=np.generic)

TRAINED = "trained"
"""The first column's name in the CSV layout."""

JOINED_BY = "+"
"""The separator between the locales of a stage that trained several at once."""

# Python's own float() would also accept '1_0', 'inf' and 'nan'.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class MatrixError(AttritionError):
    """The error of a matrix that cannot be read, or that contradicts itself."""


@dataclass(frozen=True, eq=False)
class RMatrix:
    """`scores_SL[i, j]`: the score (0 to 1) on language j after stage i; NaN if not measured.

    A language whose learner is not yet trained is NaN, never 0. A joint run is one stage that trained many languages. A stage
    may train further data of an earlier language; its name is then "en-US (2)" or similar (`attrition.languages.portions`). A
    language's own stage is the first that trains it, even if that stage also trains others. Columns may have any order, and may
    include languages that are never trained: these count as not learned.

    Args:
        scores_SL: shape (stages, languages); copied and then read-only.
        languages: the columns, in order. Any labels are allowed, not only MASSIVE's.
        trained: per stage the languages it trained, each of them a column, without repeats; or further data of a language.
        before_L: the scores before any training; None, or all NaN, if not measured.

    Raises:
        MatrixError: the parts do not match, or a score is outside 0 to 1.
        UnknownNameError: a trained language is not a column.

    >>> R = RMatrix.sequential(["en-US", "th-TH"], [[0.5, 0.25], [0.375, 0.75]])
    >>> R.learned_at["th-TH"], R.order
    (1, ('en-US', 'th-TH'))
    """

    scores_SL: NDArray[np.float64]
    languages: tuple[str, ...]
    trained: tuple[tuple[str, ...], ...]
    before_L: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        languages = tuple(self.languages)
        trained = tuple((stage,) if isinstance(stage, str) else tuple(stage) for stage in self.trained)
        _check_languages(languages)
        _check_trained(trained, languages)
        scores_SL = _frozen(self.scores_SL, (len(trained), len(languages)), "scores_SL (stages, languages)")
        before_L = None if self.before_L is None else _frozen(self.before_L, (len(languages),), "before_L (languages)")
        if before_L is not None and np.isnan(before_L).all():
            before_L = None  # one form of "not measured", so that a matrix is equal after writing and reading
        for name, value in (("languages", languages), ("trained", trained), ("scores_SL", scores_SL), ("before_L", before_L)):
            object.__setattr__(self, name, value)

    @classmethod
    def sequential(cls, order: Iterable[str], scores_SL: ArrayLike, before_L: ArrayLike | None = None) -> RMatrix:
        """Return the matrix of one language after another, with columns in the order of training.

        >>> RMatrix.sequential("ab", [[0.5, 0.25], [0.375, 0.75]]).trained
        (('a',), ('b',))
        """
        languages = tuple(order)
        before = None if before_L is None else np.asarray(before_L, dtype=np.float64)
        return cls(np.asarray(scores_SL, dtype=np.float64), languages, tuple((label,) for label in languages), before)

    @property
    def num_stages(self) -> int:
        """Return S, the number of stages without the row before training."""
        return len(self.trained)

    @property
    def order(self) -> tuple[str, ...]:
        """Return the training of each stage in the CSV's form: `en-US`, or `en-US+de-DE` for several at once."""
        return tuple(JOINED_BY.join(stage) for stage in self.trained)

    @property
    def joint(self) -> bool:
        """True if all training was one stage of several languages, so that there is no earlier or later."""
        return len(self.trained) == 1 and len(self.new[0]) > 1

    @cached_property
    def new(self) -> tuple[tuple[str, ...], ...]:
        """Return the languages whose own stage each stage is; none for a stage with only further data.

        >>> RMatrix([[0.5, 0.2], [0.6, 0.7]], ("a", "b"), (("a",), ("a (2)", "b"))).new
        (('a',), ('b',))
        """
        return tuple(tuple(name for name in stage if name in self.languages) for stage in self.trained)

    @cached_property
    def alone_S(self) -> NDArray[np.bool_]:
        """Return a mask of the stages that train exactly one language."""
        return _read_only(
            np.array([len(stage) == 1 and len(new) == 1 for stage, new in zip(self.trained, self.new, strict=True)])
        )

    @cached_property
    def learned_at(self) -> Mapping[str, int | None]:
        """Return the first stage that trained each language (in column order), counted from 0; None if none did."""
        stages = {label: stage for stage, labels in enumerate(self.trained) for label in labels}
        return MappingProxyType({language: stages.get(language) for language in self.languages})

    @cached_property
    def stage_L(self) -> NDArray[np.int64]:
        """Return `learned_at` as an array; a language never trained has the number of stages, one past the last."""
        stages = [self.num_stages if stage is None else stage for stage in self.learned_at.values()]
        return _read_only(np.array(stages, dtype=np.int64))

    @cached_property
    def learned_SL(self) -> NDArray[np.bool_]:
        """Return a mask: True if language j has been trained by the end of stage i.

        >>> RMatrix.sequential("ab", [[0.5, 0.25], [0.375, 0.75]]).learned_SL.tolist()
        [[True, False], [True, True]]
        """
        return _read_only(self.stage_L[None, :] <= np.arange(self.num_stages)[:, None])

    @cached_property
    def own_L(self) -> NDArray[np.float64]:
        """Return the diagonal: each language's score right after its own stage; NaN for one never trained."""
        own = np.full(len(self.languages), np.nan)
        (columns,) = np.nonzero(self.stage_L < self.num_stages)
        own[columns] = self.scores_SL[self.stage_L[columns], columns]
        return _read_only(own)

    def to_frame(self) -> pd.DataFrame:
        """Return a new table: one row per stage, named by its training; the row before training first, named ''."""
        import pandas as pd  # here, because it takes half a second, which `attrition --help` should not need

        labels, rows = _labelled_rows(self)
        return pd.DataFrame(np.array(rows), index=pd.Index(labels, name=TRAINED), columns=list(self.languages))

    def plot(self, score: str = "F1", *, change: bool = False) -> Any:
        """Return R as a heat map (an Altair chart): a notebook shows it, and `.save("r.svg")` writes it.

        Args:
            score: name of the score.
            change: show the change from each stage to the next, in points, instead of the score.
        """
        from attrition.report.notebook import plot

        return plot(self, score, change=change)

    def _repr_html_(self) -> str:
        from attrition.report.notebook import table_of

        return table_of(self)._repr_html_()

    def to_csv(self, path: str | Path | None = None) -> str:
        """Return the matrix in the CSV layout as text; also write it to `path`, if given.

        The header is `trained,<language>,...`. The row of a stage starts with its training (joined by `+`; empty for the row
        before training), followed by the scores; an empty cell was not measured. Scores keep every bit.

        >>> print(RMatrix.sequential("ab", [[0.5, float("nan")], [0.1, 0.75]]).to_csv(), end="")
        trained,a,b
        a,0.5,
        b,0.1,0.75
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([TRAINED, *self.languages])
        for label, row in zip(*_labelled_rows(self), strict=True):
            writer.writerow([label, *("" if math.isnan(score) else repr(score) for score in row.tolist())])
        if path is not None:
            _replace(Path(path), text.getvalue())
        return text.getvalue()

    @classmethod
    def from_csv(cls, path: str | Path) -> RMatrix:
        """Read a matrix in the CSV layout (see `to_csv`): UTF-8, with or without a byte-order mark.

        Raises:
            AttritionError: the file cannot be read or is malformed; the message names file and line.
        """
        try:
            text = read_text(Path(path), advice="Save it as CSV in UTF-8.")
        except AttritionError as error:
            raise MatrixError(str(error)) from error
        return cls.parse(text, where=str(path))

    @classmethod
    def parse(cls, text: str, *, where: str = "matrix") -> RMatrix:
        """Read a matrix from text in the CSV layout; `where` names it in messages.

        Raises:
            AttritionError: the text is malformed; the message names the line.

        >>> RMatrix.parse("trained,a,b\\na,0.5,\\nb,50,0.75")
        Traceback (most recent call last):
        attrition.metrics.matrix.MatrixError: matrix, line 3, column 'a': 50 is outside 0 to 1. Are these percent? Divide ...
        """
        return _parse(text, where)

    def __eq__(self, other: object) -> bool:
        """Return True if both are equal to the last bit, including NaN cells."""
        if not isinstance(other, RMatrix):
            return NotImplemented
        if (self.languages, self.trained) != (other.languages, other.trained):
            return False
        (labels, rows), (other_labels, other_rows) = _labelled_rows(self), _labelled_rows(other)
        return labels == other_labels and np.array_equal(np.array(rows), np.array(other_rows), equal_nan=True)

    def __hash__(self) -> int:
        return hash((self.languages, self.trained))


def _labelled_rows(matrix: RMatrix) -> tuple[list[str], list[NDArray[np.float64]]]:
    before = [] if matrix.before_L is None else [("", matrix.before_L)]
    rows = [*before, *zip(matrix.order, matrix.scores_SL, strict=True)]
    return [label for label, _ in rows], [row for _, row in rows]


def _read_only(array: NDArray[Scalar]) -> NDArray[Scalar]:
    array.flags.writeable = False
    return array


def _frozen(values: ArrayLike, shape: tuple[int, ...], name: str) -> NDArray[np.float64]:
    """Return a read-only float64 copy, so that the caller can still change the original."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise MatrixError(f"{name} is not a rectangle of numbers: {error}.") from error
    if array.shape != shape:
        raise MatrixError(f"{name} has shape {array.shape}; the stages and languages named ask for {shape}.")
    outside = array[(array < 0) | (array > 1)]
    if outside.size:
        raise MatrixError(f"{name} holds {_outside(float(outside[0]))}")
    return _read_only(array)


def _outside(value: float) -> str:
    percent = " Are these percent? Divide them by 100." if 1 < value <= 100 else ""
    return f"{value:g}, which is outside 0 to 1.{percent}"


def _check_languages(languages: Sequence[str], where: str = "languages") -> None:
    if not languages:
        raise MatrixError(f"{where}: no language. A matrix needs a column for each language that was scored.")
    for position, language in enumerate(languages, start=1):
        if not language:
            raise MatrixError(f"{where}: the name of language {position} is empty. Every column needs one.")
        if language != language.strip() or JOINED_BY in language:
            raise MatrixError(f"{where}: {language!r} cannot name a language: leave out '{JOINED_BY}' and blanks around it.")
        if any(unicodedata.category(character) == "Cc" for character in language):
            raise MatrixError(f"{where}: {language!r} cannot name a language: it holds a control character. Take it out.")
        if language in languages[: position - 1]:
            raise MatrixError(f"{where}: {language!r} names two columns. Every language has one column; remove the other.")


def _check_trained(trained: Sequence[Sequence[str]], languages: Sequence[str]) -> None:
    if not trained:
        raise MatrixError("No stage of training: a matrix needs at least one row of scores after training.")
    seen: dict[str, str] = {}
    for stage, labels in enumerate(trained, start=1):
        _check_stage(labels, languages, seen, where=f"stage {stage}")
        seen.update(dict.fromkeys(labels, f"stage {stage}"))


def _check_stage(labels: Sequence[str], languages: Sequence[str], seen: Mapping[str, str], *, where: str) -> None:
    """Refuse a stage that trains nothing, an unknown language, one already in `seen` (language -> where), or further data of a
    language that neither it nor an earlier stage trains."""
    if not labels:
        raise MatrixError(f"{where} trains no language. The scores before training belong in `before_L`.")
    for position, label in enumerate(labels):
        if (language := language_of_portion(label, languages)) not in languages:
            raise unknown(label, languages, kind="column", where=where)
        if not {language} & {*seen, *labels}:
            raise MatrixError(f"{where}: {label!r} is further data of {language}, which no stage before has trained.")
        if label in seen or label in labels[:position]:
            earlier = seen.get(label, where)
            raise MatrixError(f"{where}: {label!r} is trained a second time (first: {earlier}). Each language is learned once.")


def _parse(text: str, where: str) -> RMatrix:
    """Parse the CSV layout line by line, so that each error names its line."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise MatrixError(f"{where}, line {reader.line_num}: not a line of CSV: {error}.") from error
    lines = [(number, cells) for number, cells in lines if any(cells)]
    if not lines:
        raise MatrixError(f"{where}: the file is empty. Its first line should be '{TRAINED},<language>,...'.")
    (header_line, header), *body = lines
    languages = _header(header, f"{where}, line {header_line}")

    before: list[float] | None = None
    rows: list[list[float]] = []
    trained: list[tuple[str, ...]] = []
    seen: dict[str, str] = {}
    for number, cells in body:
        here = f"{where}, line {number}"
        if len(cells) != len(header):
            raise MatrixError(f"{here}: {len(cells)} cells, but the header has {len(header)}. Not measured is an empty cell.")
        scores = [_score(cell, f"{here}, column {name!r}") for cell, name in zip(cells[1:], languages, strict=True)]
        if cells[0]:
            labels = tuple(label.strip() for label in cells[0].split(JOINED_BY))
            _check_stage(labels, languages, seen, where=here)
            seen.update(dict.fromkeys(labels, f"line {number}"))
            trained.append(labels)
            rows.append(scores)
        elif before is not None:
            raise MatrixError(f"{here}: a second row before training (its first cell is empty). Name what this stage trained.")
        elif rows:
            raise MatrixError(f"{here}: the row before training (its first cell is empty) must be the first row of scores.")
        else:
            before = scores
    if not rows:
        raise MatrixError(f"{where}: no stage of training. Add one row per stage, its first cell naming the language trained.")
    return RMatrix(np.array(rows), languages, tuple(trained), None if before is None else np.array(before))


def _header(cells: Sequence[str], where: str) -> tuple[str, ...]:
    if cells[0] != TRAINED:
        separator = next((sign for sign in ";\t" if sign in cells[0]), None)
        hint = f" The cells seem to be separated by {separator!r}: use commas." if separator else ""
        raise MatrixError(f"{where}: the header should be '{TRAINED},<language>,...', but begins with {cells[0]!r}.{hint}")
    _check_languages(cells[1:], where)
    return tuple(cells[1:])


def _score(cell: str, where: str) -> float:
    if not cell:
        return math.nan
    if not _NUMBER.fullmatch(cell):
        raise MatrixError(f"{where}: {cell!r} is not a number. Write a score from 0 to 1, or nothing for 'not measured'.")
    value = float(cell)
    if not 0 <= value <= 1:
        percent = " Are these percent? Divide them by 100." if 1 < value <= 100 else ""
        raise MatrixError(f"{where}: {cell} is outside 0 to 1.{percent}")
    return value


def _replace(path: Path, text: str) -> None:
    """Write the whole file, or leave the old one."""
    try:
        write_whole(path, text)
    except OSError as error:
        raise MatrixError(f"{path}: cannot be written: {error.strerror or error}.") from error
