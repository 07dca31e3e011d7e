"""Profiles: each complete in itself, variants equal but for what their name says, nothing scientific inside."""

import re
from pathlib import Path

import pytest
import yaml
from alertgrid.options import setting
from alertgrid.training.recipe import NOT_IDENTITY, Recipe

ROOT = Path(__file__).resolve().parents[2]
PROFILES = ROOT / "profiles"
NAMES = ("local", "slurm", "slurm-gpus", "slurm-nodbd")
SLURM = NAMES[1:]


def workflow_rules():
    """Names of all rules of the workflow."""
    files = [ROOT / "Snakefile", *(ROOT / "workflow" / "rules").glob("*.smk")]
    rule = re.compile(r"^(?:rule|use rule \w+ as) (\w+)", re.MULTILINE)
    return {name for file in files for name in rule.findall(file.read_text(encoding="utf-8"))}


LOCAL_RULES = {"fetch_encoder", "fetch_entrant", "write_grid", "restore"}
GPU_RULES = {"pretrain", "train", "fuse", "predict_entrant", "time_inference"}
# Rules that only gather others do no work.
GATHERING = {"all", "report", "figures", "fetch"}
RULES = workflow_rules() - GATHERING
# What a profile may say; a key of the study (fraction, seed, epochs, config ...) is none of these.
MACHINE_RESOURCES = {"mem_mb", "runtime", "gpu", "gres", "slurm_account", "slurm_partition", "slurm_extra", "machine"}
MACHINE_RESOURCES |= {f"trial_{name}" for name in ("partition", "gres", "gpu", "mem_mb", "runtime", "threads")}
MACHINE_KEYS = {"cores", "resources", "default-resources", "set-resources", "set-threads", "jobs", "executor"} | {
    "local-cores",
    "keep-going",
    "retries",
    "latency-wait",
    "show-failed-logs",
    "rerun-incomplete",
    "max-jobs-per-timespan",
}


def load(name):
    return yaml.safe_load((PROFILES / name / "profile.yaml").read_text(encoding="utf-8"))


def evaluate(expression, attempt):
    """As Snakemake does: a string that is Python is evaluated with the number of the attempt."""
    return eval(str(expression), {"min": min}, {"attempt": attempt})


def test_default_is_the_local_profile():
    assert (PROFILES / "default").resolve() == PROFILES / "local"


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_has_resources_and_threads(name):
    profile = load(name)
    assert set(profile["set-resources"]) == RULES
    assert set(profile["set-threads"]) == RULES
    for rule, resources in profile["set-resources"].items():
        assert {"mem_mb", "runtime"} <= set(resources), rule


@pytest.mark.parametrize("name", NAMES)
def test_nothing_scientific(name):
    profile = load(name)
    unknown = {key for key in profile if not key.startswith("slurm-")} - MACHINE_KEYS - {"site"}
    assert unknown == set()
    for resources in (profile["default-resources"], *profile["set-resources"].values()):
        assert set(resources) <= MACHINE_RESOURCES


@pytest.mark.parametrize("name", SLURM)
def test_a_retry_asks_for_more(name):
    profile = load(name)
    for rule, resources in profile["set-resources"].items():
        if rule in LOCAL_RULES:
            continue
        for key in ("mem_mb", "runtime"):
            first, second = (evaluate(resources[key], attempt) for attempt in (1, 2))
            assert second > first or (key == "runtime" and first == 1440), (rule, key)
        # A job that asks for more than any node or partition has is refused, not queued.
        assert [evaluate(resources[key], 99) for key in ("mem_mb", "runtime")] == [120000, 1440], rule


@pytest.mark.parametrize("name", SLURM)
def test_gpus_are_asked_for_by_the_gpu_rules_only(name):
    key, other = ("gpu", "gres") if name == "slurm-gpus" else ("gres", "gpu")
    for rule, resources in load(name)["set-resources"].items():
        assert (key in resources) == (rule in GPU_RULES), rule
        assert other not in resources
        if rule in GPU_RULES:
            assert resources["slurm_partition"] == load(name)["site"]["gpu_partition"]


@pytest.mark.parametrize("name", SLURM)
def test_long_rules_are_warned_before_the_time_limit(name):
    for rule in ("pretrain", "train", "fuse"):
        extra = load(name)["set-resources"][rule]["slurm_extra"]
        # "B:" would signal the batch shell alone and kill the job at once.
        assert "--signal=TERM@300" in extra
        assert "--open-mode=append" in extra


@pytest.mark.parametrize("name", SLURM)
def test_timings_alone_have_a_node_to_themselves(name):
    extras = {rule: asked.get("slurm_extra", "") for rule, asked in load(name)["set-resources"].items()}
    assert [rule for rule, extra in extras.items() if "--exclusive" in extra] == ["time_inference"]
    assert "--open-mode=append" in extras["time_inference"]


@pytest.mark.parametrize("name", SLURM)
def test_trials_of_a_search_ask_for_what_trainings_ask(name):
    resources = load(name)["set-resources"]
    request = "gpu" if name == "slurm-gpus" else "gres"
    assert resources["tune"]["trial_partition"] == resources["train"]["slurm_partition"]
    assert resources["tune"][f"trial_{request}"] == resources["train"][request]
    for key in ("mem_mb", "runtime"):
        assert resources["tune"][f"trial_{key}"] == evaluate(resources["train"][key], 1)
    assert resources["tune"]["trial_threads"] == load(name)["set-threads"]["train"]


@pytest.mark.parametrize("name", SLURM)
def test_settings_without_which_the_controller_hangs_or_loses_work(name):
    profile = load(name)
    assert profile["slurm-status-command"] == "squeue"
    assert profile["slurm-requeue"] is True
    assert profile["keep-going"] is True
    for absent in ("slurm-array-jobs", "groups", "group-components", "rerun-incomplete"):
        assert absent not in profile


@pytest.mark.parametrize("name", SLURM[1:])
def test_a_variant_differs_only_in_what_it_is_for(name):
    base, variant = load("slurm"), load(name)
    if name == "slurm-gpus":
        base["site"]["gpu_request"] = variant["site"]["gpu_request"]
        for rule in GPU_RULES:
            base["set-resources"][rule]["gpu"] = variant["site"]["gpu_request"]
            del base["set-resources"][rule]["gres"]
        base["set-resources"]["tune"]["trial_gpu"] = variant["site"]["gpu_request"]
        del base["set-resources"]["tune"]["trial_gres"]
    else:
        del base["site"]["account"], base["default-resources"]["slurm_account"]
    assert variant == base


@pytest.mark.parametrize("name", NAMES)
def test_every_top_level_line_is_explained(name):
    lines = (PROFILES / name / "profile.yaml").read_text(encoding="utf-8").splitlines()
    for before, line in zip(["", *lines], lines, strict=False):
        if line and line[0].isalpha():
            assert "#" in line or before.startswith("#"), line
        assert len(line) <= 120


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_shows_all_that_may_be_said_of_the_use_of_the_machine(name):
    [shown] = re.findall(r'^#   (machine: ".*?")$', (PROFILES / name / "profile.yaml").read_text(), re.M | re.S)
    shown = yaml.safe_load(shown.replace("\n#", "\n"))["machine"]
    recipe = Recipe().settings()
    assert dict(map(setting, shown.split())) == {key: recipe[key] for key in NOT_IDENTITY}
