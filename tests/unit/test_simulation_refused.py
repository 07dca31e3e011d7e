"""Skies that cannot be are refused by the name of what is wrong, before anything is drawn."""

import pytest
from alertgrid.errors import StudyError
from alertgrid.sources.simulation import inputs, read


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"sources": 5}, "simulation.sources"),
        ({"trues": -1}, "simulation.trues"),
        ({"trues": 2.5}, "simulation.trues"),
        ({"depth": "deep"}, "simulation.depth"),
        ({"depth": float("nan")}, "simulation.depth"),
        ({"seed": True}, "simulation.seed"),
        ({"apply_cuts": 1}, "simulation.apply_cuts"),
        ({"clear_fraction": 0.0}, "simulation.clear_fraction"),
    ],
)
def test_bad_settings_are_refused_by_name_before_anything_is_drawn(settings, named):
    with pytest.raises(StudyError) as error:
        read(**settings)
    assert error.value.where == named
    with pytest.raises(StudyError):
        inputs(**settings)


def test_impossible_skies_are_refused():
    with pytest.raises(StudyError, match=r"simulation\.depth"):
        next(read(trues=1, depth=22.5))
    with pytest.raises(StudyError, match=r"simulation\.dims"):
        next(read(trues=0, dims=1, vars=0, rejects=0, bright_peak=20.0, depth=17.0))
    assert inputs(trues=1) == []
