"""Results to tables: every run's predictions and record become the CSV and LaTeX tables of the report."""

from .dictionary import SCHEMAS
from .write import write_tables

__all__ = ["SCHEMAS", "write_tables"]
