"""Scores of other classifiers, as they stand in the catalogue."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from alertgrid.errors import StudyError
from alertgrid.external import external_scores

CATALOGUE = pd.DataFrame(
    {
        "candid": [2_466_440_000_000_000_001, 2_466_440_000_000_000_002, 2_466_440_000_000_000_003],
        "score": [0.5, np.nan, 1.0],
        "text": ["0.5", "", "1"],
        "sign": ["", "t", "0.5"],
    }
)


def test_numbers_are_scores_and_gaps_are_nan():
    found = external_scores(CATALOGUE, ["score", "text"])
    assert list(found) == ["score", "text"]
    for values in found.values():
        np.testing.assert_array_equal(values, [0.5, np.nan, 1.0])


def test_a_column_of_words_is_refused_with_the_alert():
    with pytest.raises(StudyError, match=r"report\.external: sign of candid 2466440000000000002 is 't'"):
        external_scores(CATALOGUE, ["score", "sign"])


def test_a_column_that_is_not_there_is_refused():
    with pytest.raises(StudyError, match="no column 'scor'"):
        external_scores(CATALOGUE, ["scor"])
