"""What there is to do: runs, encoders and their chains, trials, timings, published models, and the jobs beside them."""

from pathlib import Path

import pandas as pd
import pytest
import yaml
from alertgrid.errors import StudyError
from alertgrid.files import write_json, write_text
from alertgrid.plan import sizes, work
from alertgrid.plan.jobs import DATA, REPORT, other_jobs
from alertgrid.settings.study import resolve_study
from alertgrid.training import Recipe

ROOT = Path(__file__).resolve().parents[2]
ALERTS = {"train": 1000, "val": 100, "test": 200}


def settings_of(study="demo"):
    """Resolved settings of a study of config.yaml."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text()) | {"study": study}
    return resolve_study(config, yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text()))


def tasks_of(settings, stage=None):
    """Tasks of a study by their names, of one stage or of all."""
    tasks = work.work_of(settings, ALERTS).set_index("run")
    return tasks if stage is None else tasks[tasks["stage"] == stage]


def test_a_simulated_study_knows_its_number_of_alerts(tmp_path):
    settings = settings_of()
    most = sum(settings["data"][name] for name in ("trues", "dims", "vars", "rejects")) * 3
    assert abs(sum(sizes.count_alerts(settings, tmp_path / "demo").values()) - most) <= 2


def test_what_a_simulation_leaves_out_is_as_the_simulator_has_it(tmp_path):
    settings = settings_of() | {"data": {"source": "simulation", "dtype": "float16", "trues": 100, "rejects": 0}}
    assert sum(sizes.count_alerts(settings, tmp_path).values()) == (100 + 80 + 120) * 10


def test_other_studies_must_say_it_or_have_a_catalogue(tmp_path, monkeypatch):
    settings = settings_of() | {"data": {"source": "btsbot"}}
    with pytest.raises(StudyError, match="number of alerts is not known"):
        sizes.count_alerts(settings, tmp_path)
    (tmp_path / "catalogue.h5").touch()
    catalogue = pd.DataFrame({"split": ["train"] * 5 + ["val"]})
    monkeypatch.setattr(sizes, "read_catalogue", lambda path, only: catalogue)
    assert sizes.count_alerts(settings, tmp_path) == {"train": 5, "val": 1, "test": 0}


def test_a_budget_says_how_many_alerts_there_are_until_they_are_counted(tmp_path):
    settings = settings_of() | {"data": {"source": "btsbot"}, "budget": {"alerts": 1000}}
    assert sum(sizes.count_alerts(settings, tmp_path).values()) == 1000
    assert sum(sizes.count_alerts(settings, tmp_path, given=10).values()) == 10


def test_every_corpus_that_can_be_counted_is(tmp_path, monkeypatch):
    write_text(tmp_path / "labels.csv", "name,class\n" + "a,spiral\n" * 7)
    monkeypatch.setenv("SOMEWHERE", str(tmp_path))
    assert sizes.count_images({"source": "simulation", "count": 900}) == 900
    assert sizes.count_images({"source": "fractals", "classes": 60, "images_per_class": 50}) == 3000
    assert sizes.count_images({"source": "fractals", "classes": 60}) == 6000
    assert sizes.count_images({"source": "images", "labels": "$SOMEWHERE/labels.csv"}) == 7
    assert sizes.count_images({"source": "images", "labels": "$NOWHERE_AT_ALL/labels.csv"}) is None
    assert sizes.count_images({"source": "images", "labels": str(tmp_path / "none.csv")}) is None


def test_epochs_follow_the_overrides():
    settings = settings_of()
    overrides = {"metadata": {"epochs": 77}, "convnext_pico-image": {"epochs": 5}}
    settings["training"] = {**settings["training"], "epochs": 9, "overrides": overrides}
    tasks = tasks_of(settings, "train")
    epochs = (tasks["scored"] - ALERTS["test"]) / ALERTS["val"]
    assert epochs[tasks["inputs"] == "metadata"].eq(77).all()
    assert epochs[tasks["cell"] == "convnext_pico-none-image"].eq(5).all()
    assert epochs[tasks["cell"] == "btsbot_cnn-none-image"].eq(9).all()


def test_epochs_that_a_study_leaves_out_are_the_trainers():
    settings = settings_of()
    settings["training"] = {"batch_size": 64}
    tasks = tasks_of(settings, "train")
    assert tasks["scored"].eq(ALERTS["val"] * Recipe().epochs + ALERTS["test"]).all()


def pretrained(**defined):
    """Settings of a study with two architectures and these pre-trainings, `own` on the axis."""
    settings = settings_of() | {"pretraining": defined}
    settings["grid"] |= {"architectures": ["btsbot_cnn", "convnext_pico"], "pretraining": ["none", "own"]}
    settings["grid"]["exclude"] = [{"architecture": "btsbot_cnn", "pretraining": "own"}]
    return settings


def test_pretrainings_are_counted_with_their_own_epochs():
    settings = pretrained(
        own={"corpus": {"source": "simulation", "count": 500}, "training": {"epochs": 3}},
        hub={"hub": "imagenet"},
        unused={"corpus": {"source": "simulation", "count": 500}},
    )
    settings["models"] = {"architectures": {"convnext_pico": {"input_size": 126}}}
    tasks = tasks_of(settings, "pretrain")
    assert tasks.index.tolist() == ["encoders/convnext_pico-own"]
    assert tasks.iloc[0][["architecture", "trained", "scored"]].tolist() == ["convnext_pico@126", 1500, 0]


def test_an_encoder_that_only_a_chain_needs_is_counted_too():
    corpus, epochs = {"source": "fractals", "classes": 2, "images_per_class": 5}, {"epochs": 1}
    settings = pretrained(
        own={"corpus": corpus, "training": epochs, "start": "before"},
        before={"corpus": corpus, "training": epochs, "start": "first"},
        first={"hub": "imagenet"},
    )
    names = ["encoders/convnext_pico-own", "encoders/convnext_pico-before"]
    assert tasks_of(settings, "pretrain").index.tolist() == names


@pytest.mark.parametrize("rules", [[{"pretraining": "own"}], [{"pretraining": "own", "inputs": "fusion"}]])
def test_encoders_are_those_of_the_cells_that_are_left(rules):
    settings = pretrained(own={"corpus": {"source": "simulation", "count": 500}})
    settings["grid"]["exclude"] += rules
    # A rule may take all cells of an encoder, or only the fusions: those with images alone are left then.
    assert len(tasks_of(settings, "pretrain")) == (0 if rules == [{"pretraining": "own"}] else 1)


def test_a_corpus_that_nobody_can_count_yet_is_said_to_count_nothing():
    corpus = {"source": "images", "labels": "$NOWHERE_AT_ALL/labels.csv"}
    task = tasks_of(pretrained(own={"corpus": corpus}), "pretrain").iloc[0]
    assert task["trained"] == 0
    assert "corpus of own" in task["note"]


def searched(**search):
    """Settings of a study that searches the epochs of one network."""
    settings = settings_of()
    ranges = {"training.epochs": {"low": 2, "high": 20}}
    settings["tuning"] = {"convnext_pico": {"ranges": ranges, "trials": 6, "at_once": 3, "fraction": 0.5, **search}}
    settings["training"] = {**settings["training"], "tuned": True}
    return settings


def test_trials_are_counted_as_trainings_that_no_one_ends_early():
    tasks = tasks_of(searched(), "tune")
    cells = ["tuning/convnext_pico-none-image", "tuning/convnext_pico-galaxies-image"]
    assert tasks.groupby("cell", sort=False).size().to_dict() == dict.fromkeys(cells, 6)
    assert tasks["job"].nunique() == 2 * 3
    assert tasks["trained"].eq(500 * 20).all()
    assert tasks["scored"].eq(100 * 20 + 200).all()


def test_runs_that_take_their_epochs_from_a_search_are_counted_with_the_most():
    tasks = tasks_of(searched(), "train")
    assert tasks[tasks["cell"] == "convnext_pico-none-image"]["trained"].max() == 1000 * 20


def test_a_search_that_no_run_waits_for_is_not_counted():
    settings = searched()
    settings["training"]["tuned"] = False
    assert tasks_of(settings, "tune").empty


def test_timings_and_published_models_are_counted():
    settings = settings_of() | {"entrants": {"picked": {"folder": "x"}}}
    settings["timing"] = {"precisions": ["fp32", "bf16"], "modes": ["eager"], "batches": [1, 64], "repeats": 3}
    tasks = tasks_of(settings)
    grid = work.training_grid(settings)
    names = [f"timing/{name}" for name in (grid["architecture"] + "-" + grid["inputs"]).unique()]
    assert tasks.index[tasks["stage"] == "time"].tolist() == names
    # 2 networks x 2 precisions x 65 alerts x (3 to warm up and for the memory, 3 measured)
    assert set(tasks.loc[names, "scored"]) == {2 * 2 * 65 * 6}
    # The image branch of a fusion is timed with it.
    fusions = tasks.loc[names, "inputs"] == "fusion"
    assert fusions.any()
    assert (tasks.loc[names, "embedded"] == 2 * 2 * 65 * 6 * fusions).all()
    settings["timing"] = {"precisions": ["fp32"], "batches": [1]}  # the rest as the timing has it: 20 repeats
    assert tasks_of(settings).loc[names[0], "scored"] == 2 * 23
    assert tasks.loc["entrants/picked", "scored"] == 300


def test_trainings_use_as_many_devices_as_the_profile_says_and_the_rest_one():
    settings = searched()
    devices = work.work_of(settings, ALERTS, devices=4).groupby("stage")["devices"].unique()
    assert {stage: found.tolist() for stage, found in devices.items()} == {
        "train": [4], "fuse": [4], "pretrain": [1], "tune": [1], "time": [1]
    }  # fmt: skip


def test_jobs_beside_the_tasks_are_to_come_until_their_files_are_there(tmp_path):
    settings = searched() | {"pretraining": {"galaxies": {"folder": "weights/{architecture}"}}}
    grid = work.training_grid(settings)
    # Data, local weights of two networks, two searches that wait for their trials, the report.
    assert other_jobs(settings, grid, tmp_path, done=False) == 2 + 2 + 2 + len(REPORT)
    for name in (*DATA, "encoders/maxvit_tiny-galaxies/manifest.json"):
        write_json(tmp_path / name, {})
    assert other_jobs(settings, grid, tmp_path, done=False) == 1 + 2 + len(REPORT)


def test_a_finished_study_needs_no_job(tmp_path):
    settings = settings_of()
    for name in (*DATA, "corpora/galaxies.h5", *(f"report/{name}" for name in REPORT)):
        write_text(tmp_path / name, "")
    grid = work.training_grid(settings)
    assert other_jobs(settings, grid, tmp_path, done=True) == 0
    assert other_jobs(settings, grid, tmp_path, done=False) == len(REPORT)
