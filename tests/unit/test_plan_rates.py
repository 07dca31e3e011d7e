"""Rates: recorded ones before the table, sizes scaled by their area, guesses named."""

import pytest
from alertgrid.errors import StudyError
from alertgrid.files import write_json
from alertgrid.plan.rates import load_rates, rate_of, sized
from alertgrid.plan.recorded import read_records
from plan_parts import RATES, record


def test_a_joint_run_trains_both_branches():
    assert rate_of(RATES, "convnext_pico", "joint", "cuda")["ms_per_alert"] == 3.5


def test_a_fusion_on_an_unknown_network_is_a_guess():
    assert rate_of(RATES, "resnet18", "fusion", "cuda")["kind"] == "guess"


def test_a_fusion_keeps_the_parameters_of_its_branches():
    assert rate_of(RATES, "convnext_pico", "fusion", "cuda")["parameters"] == 1000


def test_a_missing_rate_is_refused():
    with pytest.raises(StudyError, match="no rate for resnet18"):
        rate_of(RATES, "resnet18", "image", "tpu")


def test_recorded_rates_come_before_the_table(tmp_path):
    for seed, rate in enumerate((100.0, 200.0, 400.0)):
        run = f"convnext_pico-none-image/f1/s{seed}"
        write_json(tmp_path / "runs" / run / "run.json", record(run, rate=rate))
    # Encoders tell their time but no throughput.
    write_json(tmp_path / "encoders/convnext_pico-own/manifest.json", {"wall_seconds": 9.0, "device": "cuda"})
    rate = rate_of(load_rates(list(read_records(tmp_path).values())), "convnext_pico", "image", "cuda")
    assert (rate["ms_per_alert"], rate["kind"], rate["source"]) == (5.0, "recorded", "median of 3 recorded runs")


def test_the_throughput_of_two_gpus_is_not_that_of_one():
    shared = record("convnext_pico-none-image/f1/s0", rate=200.0) | {"devices": 2}
    assert rate_of(load_rates([shared]), "convnext_pico", "image", "cuda")["ms_per_alert"] == 10.0


def test_the_calibrated_table_is_complete_and_says_its_sources():
    table = load_rates()
    assert table.notna().all().all()
    assert set(table["kind"]) == {"measured", "guess"}
    for device in ("cpu", "cuda"):
        for architecture in ("btsbot_cnn", "convnext_pico", "maxvit_tiny", "resnet18"):
            for inputs in ("image", "fusion", "joint"):
                assert rate_of(table, architecture, inputs, device)["ms_per_alert"] > 0


def test_a_larger_input_is_scaled_by_its_area_unless_it_was_measured():
    rate = rate_of(RATES, sized("convnext_pico", 126), "image", "cuda")
    assert (rate["ms_per_alert"], rate["kind"]) == (12.0, "guess")
    assert rate_of(load_rates(), "maxvit_tiny@224", "image", "cpu")["kind"] == "measured"
    assert sized("convnext_pico") == "convnext_pico"


def test_only_images_grow_with_their_size():
    rate = rate_of(RATES, sized("convnext_pico", 126), "fusion", "cuda")
    assert (rate["ms_per_alert"], rate["image_ms"]) == (1.0, 12.0)
