"""The plan: costs worked out by hand, recorded rates before guesses, a budget that refuses."""

import pandas as pd
import pytest
from alertgrid import plan
from alertgrid.errors import StudyError
from alertgrid.files import write_json

ALERTS = {"train": 1000, "val": 100, "test": 200}


def rates(*rows):
    """A small table of rates on a GPU."""
    columns = ["architecture", "inputs", "device", "ms_per_alert", "parameters", "kind", "source"]
    return pd.DataFrame([[*row, f"source of {row[0]}"] for row in rows], columns=columns)


RATES = rates(
    ("convnext_pico", "image", "cuda", 3.0, 1000, "measured"),
    ("metadata_net", "metadata", "cuda", 0.5, 10, "measured"),
    ("*", "fusion", "cuda", 1.0, 20, "measured"),
    ("*", "image", "cuda", 30.0, 2000, "guess"),
)


def runs(*rows):
    """Runs of a grid with their epochs."""
    return pd.DataFrame(rows, columns=["run", "architecture", "inputs", "fraction", "epochs"])


IMAGE = ("convnext_pico-none-image/f0.5/s0", "convnext_pico", "image", 0.5, 10)
FUSION = ("convnext_pico-none-fusion/f0.5/s0", "convnext_pico", "fusion", 0.5, 10)
OTHER = ("resnet18-none-image/f1/s0", "resnet18", "image", 1.0, 1)


def seconds(row, **options):
    """Estimated seconds of a single run."""
    made = plan.estimate(runs(row), alerts=ALERTS, rates=RATES, **options)
    return made.runs["hours"].iloc[0] * 3600


def test_an_image_run_by_hand():
    # 500 alerts x 10 epochs x 3 ms, and (100 x 10 + 200) alerts x 1 ms of evaluation.
    assert seconds(IMAGE) == pytest.approx(plan.START_SECONDS + 15 + 1.2)


def test_a_fusion_embeds_once_and_trains_a_head():
    # head: 5,000 x 1 ms and 1,200 / 3 ms; embeddings: (500 x 8 + 300) x 1 ms.
    assert seconds(FUSION) == pytest.approx(plan.START_SECONDS + 5 + 0.4 + 4.3)


def test_a_joint_run_trains_both_branches():
    assert plan.rate_of(RATES, "convnext_pico", "joint", "cuda")["ms_per_alert"] == 3.5


def test_an_unknown_network_is_a_guess():
    made = plan.estimate(runs(IMAGE, OTHER), alerts=ALERTS, rates=RATES)
    assert made.runs["guess"].tolist() == [False, True]
    assert plan.rate_of(RATES, "resnet18", "fusion", "cuda")["kind"] == "guess"
    assert "source of *" in plan.describe(made)


def test_a_missing_rate_is_refused():
    with pytest.raises(StudyError, match="no rate for resnet18"):
        plan.rate_of(RATES, "resnet18", "image", "tpu")


def test_wall_time_is_a_queue_with_fusions_last():
    four = runs(*([FUSION] * 2 + [IMAGE] * 2)).assign(run=list("abcd"))
    one = plan.estimate(four, alerts=ALERTS, rates=RATES, concurrency=1)
    two = plan.estimate(four, alerts=ALERTS, rates=RATES, concurrency=2)
    expected = 2 * (seconds(IMAGE) + seconds(FUSION)) + 4 * plan.NOTICE_SECONDS["slurm"]
    assert one.wall_seconds == pytest.approx(expected)
    assert two.wall_seconds == pytest.approx(expected / 2)


def test_disk_grows_linearly_with_alerts():
    small = plan.estimate(runs(IMAGE), alerts=ALERTS, rates=RATES).disk_bytes
    large = plan.estimate(runs(IMAGE), alerts={key: 10 * n for key, n in ALERTS.items()}, rates=RATES).disk_bytes
    weights = 2 * 4 * 1000
    assert small == pytest.approx(1300 * (3 * 63 * 63 * 2 + 400) + 300 * 20 + weights)
    assert large - weights == pytest.approx(10 * (small - weights))


def record(run, seconds=3600.0, rate=100.0):
    """What plan reads of a run.json."""
    parts = dict(zip(("architecture", "pretraining", "inputs"), run.split("/")[0].split("-"), strict=True))
    return {**parts, "wall_seconds": seconds, "alerts_per_second": rate, "n_parameters": 7, "device": "cuda:0"}


def test_finished_runs_cost_what_they_cost(tmp_path):
    write_json(tmp_path / "runs" / IMAGE[0] / "run.json", record(IMAGE[0]))
    records = plan.read_records(tmp_path)
    made = plan.estimate(runs(IMAGE, FUSION), alerts=ALERTS, rates=RATES, records=records, other_jobs=3)
    assert made.runs["done"].tolist() == [True, False]
    assert made.gpu_hours == pytest.approx(1 + seconds(FUSION) / 3600)
    assert made.jobs == 4


def test_recorded_rates_come_before_the_table(tmp_path):
    for seed, rate in enumerate((100.0, 200.0, 400.0)):
        run = f"convnext_pico-none-image/f1/s{seed}"
        write_json(tmp_path / "runs" / run / "run.json", record(run, rate=rate))
    table = plan.load_rates(list(plan.read_records(tmp_path).values()))
    rate = plan.rate_of(table, "convnext_pico", "image", "cuda")
    assert (rate["ms_per_alert"], rate["kind"], rate["source"]) == (5.0, "recorded", "median of 3 recorded runs")


def test_the_calibrated_table_is_complete_and_says_its_sources():
    table = plan.load_rates()
    assert table.notna().all().all()
    assert set(table["kind"]) == {"measured", "guess"}
    for device in ("cpu", "cuda"):
        for architecture in ("btsbot_cnn", "convnext_pico", "maxvit_tiny", "resnet18"):
            for inputs in ("image", "fusion", "joint"):
                assert plan.rate_of(table, architecture, inputs, device)["ms_per_alert"] > 0


def test_a_budget_refuses_what_is_above_it():
    made = plan.estimate(runs(IMAGE), alerts=ALERTS, rates=RATES)
    plan.check_budget(made, {"gpu_hours": 1, "disk_gb": 1, "alerts": 5}, "studies.toy")
    plan.check_budget(made, {}, "studies.toy")
    with pytest.raises(StudyError, match=r"studies\.toy\.budget\.gpu_hours: the plan comes to .* GPU-hours"):
        plan.check_budget(made, {"gpu_hours": 0.001}, "studies.toy")
    with pytest.raises(StudyError, match=r"budget\.disk_gb"):
        plan.check_budget(made, {"disk_gb": 0.01}, "studies.toy")


def test_what_is_finished_is_never_refused():
    made = plan.estimate(runs(IMAGE), alerts=ALERTS, rates=RATES, records={IMAGE[0]: {"wall_seconds": 1e6}})
    plan.check_budget(made, {"gpu_hours": 1, "disk_gb": 0}, "studies.toy")


def test_a_cpu_study_uses_no_gpu_hours():
    made = plan.estimate(runs(IMAGE), alerts=ALERTS, rates=plan.load_rates(), device="cpu", executor="local")
    assert made.gpu_hours == 0
    assert "hours of CPU runs" in plan.describe(made)


def test_a_finished_study_has_nothing_to_come():
    records = {IMAGE[0]: record(IMAGE[0])}
    made = plan.estimate(runs(IMAGE), alerts=ALERTS, rates=RATES, records=records)
    assert plan.describe(made).startswith(
        "1 cells, 1 runs, 1 of them done; 0 jobs to come\n0.00 GPU-hours to come, 1.00"
    )


def test_a_larger_input_is_scaled_by_its_area_unless_it_was_measured():
    rate = plan.rate_of(RATES, plan.sized("convnext_pico", 126), "image", "cuda")
    assert (rate["ms_per_alert"], rate["kind"]) == (12.0, "guess")
    assert plan.rate_of(plan.load_rates(), "maxvit_tiny@224", "image", "cpu")["kind"] == "measured"
    assert plan.sized("convnext_pico") == "convnext_pico"


def test_runs_of_one_job_start_and_are_noticed_once():
    four = runs(*([FUSION] * 2 + [IMAGE] * 2)).assign(run=list("abcd"))
    alone = plan.estimate(four, alerts=ALERTS, rates=RATES)
    packed = plan.estimate(four.assign(pack=["f", "f", "i", "i"]), alerts=ALERTS, rates=RATES)
    assert (alone.jobs, packed.jobs) == (4, 2)
    assert alone.runs["hours"].sum() - packed.runs["hours"].sum() == pytest.approx(2 * plan.START_SECONDS / 3600)
    saved = 2 * (plan.START_SECONDS + plan.NOTICE_SECONDS["slurm"])
    assert alone.wall_seconds - packed.wall_seconds == pytest.approx(saved)


def test_a_job_of_which_a_run_is_missing_is_to_come():
    four = runs(*([IMAGE] * 4)).assign(run=list("abcd"), pack=["x", "x", "y", "y"])
    done = plan.estimate(four, alerts=ALERTS, rates=RATES, records={name: record("a-b-c/f1/s0") for name in "abd"})
    assert done.jobs == 1


def test_runs_kept_of_a_failed_job_are_recorded(tmp_path):
    write_json(tmp_path / "checkpoints/a-none-image/f1/s0/finished/run.json", record("a-none-image/f1/s0"))
    write_json(tmp_path / "runs/a-none-image/f1/s1/run.json", record("a-none-image/f1/s1"))
    assert set(plan.read_records(tmp_path)) == {"a-none-image/f1/s0", "a-none-image/f1/s1"}
