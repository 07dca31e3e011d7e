"""Scores and curves of the pre-trainings: from the encoders' folders to tables and a figure."""

from __future__ import annotations

import pytest
from alertgrid.figures.encoders import encoders
from alertgrid.figures.style import Skip
from alertgrid.tables.write import read_all, read_curve, read_scores

HISTORY = "epoch,step,learning_rate,train_loss,val_loss,val_score,seconds,alerts_per_second,best"


def folder_of(place, name, scores=(0.1, 0.3, 0.2)):
    """An encoder's folder after as many epochs as there are scores."""
    folder = place / name
    folder.mkdir()
    (folder / "scores.csv").write_text("target,metric,value,n\nellipticity,r2,0.25,90\n")
    best = scores.index(max(scores))
    rows = [
        f"{i + 1},{50 * i},0.001,{1 - i / 9},{1.1 - i / 9},{value},5.8,138,{int(i == best)}"
        for i, value in enumerate(scores)
    ]
    (folder / "history.csv").write_text("\n".join([HISTORY, *rows]))
    return folder


def test_scores_of_encoders_carry_the_names_of_their_folder(tmp_path):
    folder = folder_of(tmp_path, "convnext_pico-galaxies")
    found, problems = read_all([folder / "scores.csv"], "encoders", read_scores)
    assert not problems
    row = found.iloc[0]
    assert (row["encoder"], row["architecture"], row["pretraining"]) == (folder.name, "convnext_pico", "galaxies")
    assert (row["metric"], row["value"]) == ("r2 of ellipticity", 0.25)


@pytest.fixture
def curves(tmp_path):
    names = ("convnext_pico-galaxies", "maxvit_tiny-galaxies", "convnext_pico-fractals")
    paths = [folder_of(tmp_path, name) / "history.csv" for name in names]
    found, problems = read_all(paths, "encoder_history", read_curve)
    assert not problems
    return found


def test_the_curve_of_each_pretraining_reaches_the_tables(curves):
    assert len(curves) == 9
    row = curves.iloc[1]
    assert (row["architecture"], row["pretraining"], row["epoch"]) == ("convnext_pico", "galaxies", 2)
    assert (row["val_score"], row["best"], row["images_per_second"]) == (0.3, 1, 138)


def test_a_folder_without_its_curve_is_named(tmp_path):
    found, problems = read_all([tmp_path / "a-galaxies" / "history.csv"], "encoder_history", read_curve)
    assert found.empty
    assert problems[0][0] == "encoder_history: a-galaxies/history.csv"


def test_a_figure_per_corpus_with_a_line_per_encoder(curves):
    drawn = {drawing.name: drawing for drawing in encoders({"encoder_history": curves}, ())}
    assert list(drawn) == ["encoders_galaxies", "encoders_fractals"]
    assert drawn["encoders_galaxies"].caption.startswith("2 encoders of 3 epochs.")
    loss, score = drawn["encoders_galaxies"].figure.axes
    lines = [line for line in score.lines if len(line.get_xdata()) > 1]
    assert [list(line.get_ydata()) for line in lines] == [[0.1, 0.3, 0.2]] * 2
    dots = [line for line in score.lines if len(line.get_xdata()) == 1]
    assert [line.get_xydata().tolist() for line in dots] == [[[2, 0.3]]] * 2
    assert len(loss.lines) == 6
    with pytest.raises(Skip, match=r"encoder_history\.csv is missing"):
        next(encoders({}, ()))
