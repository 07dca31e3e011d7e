"""The plan: costs worked out by hand, a queue, disk, what is finished."""

import pandas as pd
import pytest
from alertgrid.errors import StudyError
from alertgrid.files import write_json
from alertgrid.plan import estimate as plan
from alertgrid.plan.rates import load_rates
from alertgrid.plan.recorded import read_records
from alertgrid.plan.report import check_budget, describe, list_cells
from plan_parts import ALERTS, FUSION, IMAGE, OTHER, RATES, record, runs, seconds, total


def test_an_image_run_by_hand():
    # 500 alerts x 10 epochs x 3 ms, and (100 x 10 + 200) alerts x 1 ms of evaluation.
    assert seconds(IMAGE) == pytest.approx(plan.START_SECONDS + 15 + 1.2)


def test_a_fusion_embeds_once_and_trains_a_head():
    # head: 5,000 x 1 ms and 1,200 / 3 ms; embeddings: (500 x 8 + 300) x 1 ms.
    assert seconds(FUSION) == pytest.approx(plan.START_SECONDS + 5 + 0.4 + 4.3)


def test_a_fusion_without_augmentation_embeds_one_view():
    assert seconds(FUSION, training={"augment": False}) == pytest.approx(plan.START_SECONDS + 5 + 0.4 + 0.8)


def test_a_fusion_as_published_passes_through_the_image_branch_at_every_step():
    spent = seconds(FUSION, models={"fusion": {"mode": "compat"}})
    assert spent == pytest.approx(plan.START_SECONDS + 5 + 0.4 + 5 + 1.2)


def test_hours_are_those_of_every_device_that_shares_a_run():
    one = plan.estimate(runs(IMAGE), alerts=1300, rates=RATES)
    two = plan.estimate(runs(IMAGE, devices=2), alerts=1300, rates=RATES)
    notice, start = plan.NOTICE_SECONDS["slurm"], plan.START_SECONDS
    # The same work on twice the devices: half the time, but both wait for the start.
    assert two.gpu_hours == pytest.approx(one.gpu_hours + start / 3600)
    assert two.wall_seconds - notice == pytest.approx((one.wall_seconds - notice + start) / 2)


def test_a_finished_run_on_two_gpus_took_both(tmp_path):
    write_json(tmp_path / "runs" / IMAGE[0] / "run.json", record(IMAGE[0]) | {"devices": 2})
    made = plan.estimate(runs(IMAGE), alerts=1300, rates=RATES, records=read_records(tmp_path))
    assert made.gpu_hours == pytest.approx(2)


def test_wall_time_is_a_queue_with_fusions_last():
    four = runs(*([FUSION] * 2 + [IMAGE] * 2)).assign(run=list("abcd"), job=list("abcd"))
    one = plan.estimate(four, alerts=1300, rates=RATES, concurrency=1)
    two = plan.estimate(four, alerts=1300, rates=RATES, concurrency=2)
    expected = 2 * (seconds(IMAGE) + seconds(FUSION)) + 4 * plan.NOTICE_SECONDS["slurm"]
    assert one.wall_seconds == pytest.approx(expected)
    assert two.wall_seconds == pytest.approx(expected / 2)


def test_on_the_way_lie_checkpoints_and_embeddings_of_what_runs_at_once():
    def scratch(*rows, **settings):
        work = runs(*rows, **settings)
        return plan.estimate(work, alerts=total(ALERTS), rates=RATES, concurrency=2).scratch_bytes

    checkpoint, views = 8 * 4 * 1000, (8 * 500 + 300) * 4 * (512 + 128)
    assert scratch(FUSION) == checkpoint + views
    assert scratch(FUSION, training={"augment": False}) == checkpoint + 800 * 4 * (512 + 128)
    assert scratch(FUSION, models={"fusion": {"mode": "compat"}}) == checkpoint
    assert scratch(FUSION, IMAGE, OTHER) == checkpoint + views + 8 * 4 * 2000  # two at once
    wide = ("btsbot_cnn-none-fusion/f0.5/s0", "btsbot_cnn", *FUSION[2:])
    assert scratch(wide) == 8 * 4 * 2000 + (8 * 500 + 300) * 4 * (3136 + 128)


def test_a_finished_study_keeps_nothing_on_the_way(tmp_path):
    write_json(tmp_path / "runs" / IMAGE[0] / "run.json", record(IMAGE[0]))
    made = plan.estimate(runs(IMAGE), alerts=1300, rates=RATES, records=read_records(tmp_path))
    assert made.scratch_bytes == 0


def test_disk_grows_linearly_with_alerts():
    small = plan.estimate(runs(IMAGE), alerts=total(ALERTS), rates=RATES).disk_bytes
    more = {key: 10 * n for key, n in ALERTS.items()}
    large = plan.estimate(runs(IMAGE, alerts=more), alerts=total(more), rates=RATES).disk_bytes
    weights = 2 * 4 * 1000
    assert small == pytest.approx(1300 * (3 * 63 * 63 * 2 + 400) + 300 * 20 + weights)
    assert large - weights == pytest.approx(10 * (small - weights))


def test_finished_runs_cost_what_they_cost(tmp_path):
    write_json(tmp_path / "runs" / IMAGE[0] / "run.json", record(IMAGE[0]))
    made = plan.estimate(runs(IMAGE, FUSION), alerts=1300, rates=RATES, records=read_records(tmp_path), other_jobs=3)
    assert made.tasks["done"].tolist() == [True, False]
    assert made.gpu_hours == pytest.approx(1 + seconds(FUSION) / 3600)
    assert made.jobs == 4


def test_hours_on_a_processor_are_no_gpu_hours():
    records = {IMAGE[0]: record(IMAGE[0]) | {"device": "cpu"}}
    made = plan.estimate(runs(IMAGE, FUSION), alerts=1300, rates=RATES, records=records)
    assert made.gpu_hours == pytest.approx(seconds(FUSION) / 3600)


def test_an_unknown_network_is_a_guess():
    made = plan.estimate(runs(IMAGE, OTHER), alerts=1300, rates=RATES)
    assert made.tasks["basis"].tolist() == ["measured", "guess"]
    assert "source of *" in describe(made)


def test_every_cell_has_a_line_with_its_runs_jobs_and_hours():
    again = (IMAGE[0].replace("s0", "s1"), *IMAGE[1:])
    records = {IMAGE[0]: record(IMAGE[0], seconds=7200.0)}
    made = plan.estimate(runs(IMAGE, again, OTHER), alerts=1300, rates=RATES, records=records)
    lines = [line.split() for line in list_cells(made.tasks).splitlines()]
    assert lines == [
        ["cell", "runs", "done", "jobs", "hours", "basis"],
        ["convnext_pico-none-image", "2", "1", "1", "2", "measured"],
        ["resnet18-none-image", "1", "0", "1", "0.015", "guess"],
    ]
    assert "2 cells, 3 runs, 1 of them done; 2 jobs to come" in describe(made)


def test_a_budget_refuses_what_is_above_it():
    made = plan.estimate(runs(IMAGE), alerts=1300, rates=RATES)
    check_budget(made, {"gpu_hours": 1, "disk_gb": 1, "alerts": 5}, "studies.toy")
    check_budget(made, {}, "studies.toy")
    with pytest.raises(StudyError, match=r"studies\.toy\.budget\.gpu_hours: the plan comes to .* GPU-hours"):
        check_budget(made, {"gpu_hours": 0.001}, "studies.toy")
    with pytest.raises(StudyError, match=r"budget\.disk_gb"):
        check_budget(made, {"disk_gb": 0.01}, "studies.toy")


def test_what_is_finished_is_never_refused():
    made = plan.estimate(runs(IMAGE), alerts=1300, rates=RATES, records={IMAGE[0]: {"wall_seconds": 1e6}})
    check_budget(made, {"gpu_hours": 1, "disk_gb": 0}, "studies.toy")


def test_a_cpu_study_uses_no_gpu_hours():
    made = plan.estimate(runs(IMAGE), alerts=1300, rates=load_rates(), device="cpu", executor="local")
    assert made.gpu_hours == 0
    assert "hours of CPU runs" in describe(made)


def test_a_finished_study_has_nothing_to_come():
    made = plan.estimate(runs(IMAGE), alerts=1300, rates=RATES, records={IMAGE[0]: record(IMAGE[0])})
    text = describe(made)
    assert "1 runs, 1 of them done; 0 jobs to come" in text
    assert "\n0.00 GPU-hours to come, 1.00 in all\n" in text
    assert "guesses" not in text


def test_runs_of_one_job_start_and_are_noticed_once():
    four = runs(*([FUSION] * 2 + [IMAGE] * 2)).assign(run=list("abcd"), job=list("abcd"))
    alone = plan.estimate(four, alerts=1300, rates=RATES)
    packed = plan.estimate(four.assign(job=["f", "f", "i", "i"]), alerts=1300, rates=RATES)
    assert (alone.jobs, packed.jobs) == (4, 2)
    assert alone.gpu_hours - packed.gpu_hours == pytest.approx(2 * plan.START_SECONDS / 3600)
    saved = 2 * (plan.START_SECONDS + plan.NOTICE_SECONDS["slurm"])
    assert alone.wall_seconds - packed.wall_seconds == pytest.approx(saved)


def test_a_job_of_which_a_run_is_missing_is_to_come():
    four = runs(*([IMAGE] * 4)).assign(run=list("abcd"), job=["x", "x", "y", "y"])
    records = {name: record("a-b-c/f1/s0") for name in "abd"}
    assert plan.estimate(four, alerts=1300, rates=RATES, records=records).jobs == 1


def test_runs_kept_of_a_failed_job_are_recorded(tmp_path):
    write_json(tmp_path / "checkpoints/a-none-image/f1/s0/finished/run.json", record("a-none-image/f1/s0"))
    write_json(tmp_path / "runs/a-none-image/f1/s1/run.json", record("a-none-image/f1/s1"))
    assert set(read_records(tmp_path)) == {"a-none-image/f1/s0", "a-none-image/f1/s1"}


def test_encoders_and_published_models_are_recorded_too(tmp_path):
    write_json(tmp_path / "encoders/a-own/manifest.json", {"wall_seconds": 7.0, "device": "cuda:0"})
    write_json(tmp_path / "entrants/b/run.json", {"wall_seconds": 3.0, "device": "cpu"})
    pd.DataFrame().to_csv(tmp_path / "grid.csv")
    found = read_records(tmp_path)
    assert {name: entry["wall_seconds"] for name, entry in found.items()} == {"encoders/a-own": 7.0, "entrants/b": 3.0}
