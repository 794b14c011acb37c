"""Tables: columns of one length with their units, what measuring gives and files are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, slots=True)
class Table(Mapping[str, NDArray[Any]]):
    """Columns of one length, each with a unit ("" where it has none)."""

    columns: Mapping[str, NDArray[Any]]
    units: Mapping[str, str]

    def __post_init__(self) -> None:
        if len({len(c) for c in self.columns.values()}) > 1:
            raise ValueError("Table: columns differ in length")
        if set(self.units) != set(self.columns):
            raise ValueError("Table: every column needs a unit, and every unit a column")

    @property
    def n_rows(self) -> int:
        """Number of rows (``len`` counts columns, as for every mapping)."""
        return len(next(iter(self.columns.values()), ()))

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def to_dataframe(self) -> pandas.DataFrame:
        """A pandas data frame; pandas is imported only here."""
        import pandas as pd

        return pd.DataFrame(dict(self.columns))
