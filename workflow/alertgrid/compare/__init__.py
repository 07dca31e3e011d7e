"""What did a change of code or data do? Two finished studies, cell by cell: before and after.

Both are judged again from their catalogues and predictions by the same code, so nothing but the studies differs.
"""

from .studies import Judged, judge_study
from .write import Choices, write_comparison

__all__ = ["Choices", "Judged", "judge_study", "write_comparison"]
