"""Skies that cannot be are refused by the name of what is wrong, before anything is drawn."""

import numpy as np
import pytest
from alertgrid.errors import StudyError
from alertgrid.sources.simulation import inputs, read, survey
from alertgrid.sources.simulation.events import draw_asteroid, template_end
from alertgrid.sources.simulation.settings import checked_settings


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
        ({"survey_days": 10_000}, "simulation.survey_days"),
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
    with pytest.raises(StudyError, match=r"simulation\.survey_days: 1\.9 visits to a field"):
        read(trues=1, survey_days=500, cadence=30.0, clear_fraction=0.1)
    assert inputs(trues=1) == []


def test_fields_without_a_template_are_drawn_again():
    settings = checked_settings(survey_days=500, cadence=30.0, clear_fraction=0.1)
    assert min(len(survey.visits(settings, np.random.default_rng(seed))) for seed in range(10)) == 0
    for seed in range(10):
        event = draw_asteroid(settings, np.random.default_rng(seed))
        assert set(event.visits.fid[: template_end(settings, event.visits)]) == {1, 2}
