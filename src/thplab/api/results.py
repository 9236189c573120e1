# SPDX-License-Identifier: GPL-2.0-only
"""Results for Python: figures by the paths that claims use, the table, HTML, plain dicts, a frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from thplab.comparison.comparison import Comparison, compare
from thplab.errors import InputError
from thplab.report.json_text import comparison_dict
from thplab.report.terminal import comparison_html, comparison_text
from thplab.scenario.figures import FigurePath, Unseen, read_figure
from thplab.scenario.naming import meant, quoted
from thplab.scenario.observation import Observation, Run
from thplab.scenario.schema import Scenario

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

__all__ = ["Moment", "Result", "RunResult", "Seen", "figure_at"]


def figure_at(seen: Observation, path: str) -> int | None:
    """A figure of an observation by the path of a claim; None if it was not seen.

    Raises:
        KeyError: there is no such figure; the message says what would be right.
    """
    try:
        figure = read_figure(seen, FigurePath.parse(path))
    except ValueError as error:
        raise KeyError(str(error)) from None
    return None if isinstance(figure, Unseen) else figure


class Seen:
    """One observation of one run: `seen["regions.victim.far[1].huge"]`.

    Attributes:
        observation: the data; None if the run did not take it.
    """

    def __init__(self, label: str, observation: Observation | None) -> None:
        self.label = label
        self.observation = observation

    def __getitem__(self, path: str) -> int | None:
        """The figure; None if it was not seen. Raises KeyError as :func:`figure_at` does."""
        return None if self.observation is None else figure_at(self.observation, path)

    def __repr__(self) -> str:
        return f"Seen({self.label!r})"


class Moment:
    """One observation in each column: `result["after"]["regions.victim.far[1].huge"]`."""

    def __init__(self, label: str, taken: Mapping[str, Observation | None]) -> None:
        self.label = label
        self._taken = taken

    def __getitem__(self, path: str) -> dict[str, int | None]:
        """The figure in each column, by the column's name; None where it was not seen."""
        return {
            name: None if seen is None else figure_at(seen, path)
            for name, seen in self._taken.items()
        }

    def __repr__(self) -> str:
        return f"Moment({self.label!r}, {', '.join(self._taken)})"


class _Runs:
    """What one run and several have in common.

    Args:
        scenario: what all of them ran.
        runs: a column each.

    Attributes:
        comparison: the data, figure by figure.
    """

    def __init__(self, scenario: Scenario, runs: Sequence[Run]) -> None:
        self.scenario = scenario
        self.runs = tuple(runs)
        self.comparison: Comparison = compare(scenario, runs)

    @property
    def columns(self) -> tuple[str, ...]:
        """The titles of the columns, without the designs where they are distinct then."""
        short = [run.title.removesuffix(f" {run.design}") for run in self.runs]
        if len(set(short)) == len(short):
            return tuple(short)
        return tuple(run.title for run in self.runs)

    @property
    def ok(self) -> bool:
        """Whether every claim held, and no column complained."""
        return not self.comparison.broken

    @property
    def warnings(self) -> dict[str, list[str]]:
        """The complaints of each column."""
        return {name: list(run.warnings) for name, run in zip(self.columns, self.runs, strict=True)}

    @property
    def labels(self) -> list[str]:
        """The observations, in the scenario's order."""
        return [moment.label for moment in self.comparison.moments]

    def _moment(self, label: str) -> Moment:
        if label not in self.labels:
            raise KeyError(
                f"there is no observation {quoted(label)}; {meant(label, self.labels, 'observations')}"
            )
        taken = [{seen.label: seen for seen in run.observations} for run in self.runs]
        return Moment(
            label, {name: seen.get(label) for name, seen in zip(self.columns, taken, strict=True)}
        )

    def __str__(self) -> str:
        return comparison_text(self.comparison)

    def __repr__(self) -> str:
        state = "ok" if self.ok else "NOT ok"
        return f"{type(self).__name__}({self.scenario.name!r}, {', '.join(self.columns)}: {state})"

    def _repr_html_(self) -> str:
        """The table, for a notebook."""
        return comparison_html(self.comparison)

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain dicts and lists: the JSON of docs/cli.md."""
        return comparison_dict(self.comparison)

    def rows(self) -> list[dict[str, Any]]:
        """A row for each figure of each observation in each column."""
        return [
            {
                "observation": moment.label,
                "column": name,
                "path": str(row.path),
                "section": row.path.section,
                "subject": row.path.subject,
                "node": row.path.nid,
                "figure": row.path.name,
                "unit": row.unit,
                "value": value,
            }
            for moment in self.comparison.moments
            for row in moment.rows
            for name, value in zip(self.columns, row.values, strict=True)
        ]

    def to_polars(self) -> pl.DataFrame:
        """:meth:`rows` as a frame. Raises InputError: polars is not installed."""
        try:
            import polars as pl
        except ImportError:
            raise InputError("to_polars() needs polars: pip install 'thplab[frames]'") from None
        return pl.DataFrame(self.rows(), infer_schema_length=None)

    def to_pandas(self) -> pd.DataFrame:
        """:meth:`rows` as a frame. Raises InputError: pandas is not installed."""
        try:
            import pandas as pd
        except ImportError:
            raise InputError("to_pandas() needs pandas: pip install pandas") from None
        return pd.DataFrame(self.rows()).astype({"node": "Int64", "value": "Int64"})


class Result(_Runs):
    """Runs of one scenario, side by side."""

    def __getitem__(self, label: str) -> Moment:
        """An observation by its label."""
        return self._moment(label)


class RunResult(_Runs):
    """One run."""

    @property
    def run(self) -> Run:
        """The Run itself: observations, outcomes, warnings, notes."""
        return self.runs[0]

    def __getitem__(self, label: str) -> Seen:
        """An observation by its label."""
        self._moment(label)
        taken = {seen.label: seen for seen in self.run.observations}
        return Seen(label, taken.get(label))
