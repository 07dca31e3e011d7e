"""Weights from a hub or from here, by the rules that fetch and import them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import timm
import torch
from alertgrid.files import read_json
from alertgrid.weights import read_manifest

pytestmark = pytest.mark.slow


def test_published_models_are_fetched_by_the_fetch_rule_alone(fresh):
    revision = "0123456789"
    entrant = f"    entrants: {{named: {{hub: nabeelr/BTSbot-convnext-pico-galaxyzoo, revision: '{revision}'}}}}\n"
    fresh.edit("config.yaml", "    models:\n      cnn:", entrant + "    models:\n      cnn:")
    assert fresh.planned("--", "fetch") == {"fetch": 1, "fetch_entrant": 1}
    planned = fresh.planned()
    assert (planned["fetch_entrant"], planned["predict_entrant"]) == (1, 1)


def test_what_a_pretraining_starts_from_is_fetched_too(fresh):
    start = "      imagenet: {hub: imagenet}\n      galaxies:\n        start: imagenet\n        corpus"
    fresh.edit("config.yaml", "      galaxies:\n        corpus", start)
    fresh.edit("config.yaml", "test_convnext]", "convnext_pico]")
    assert fresh.planned("--", "fetch") == {"fetch": 1, "fetch_encoder": 1}


def use_weights(project, source: str) -> None:
    """Let the toy study start from other weights beside its own pre-training."""
    project.edit("config.yaml", "pretraining: [none, galaxies]", "pretraining: [none, galaxies, mine]")
    before = "      galaxies:\n        corpus"
    project.edit("config.yaml", before, f"      mine: {{{source}}}\n{before}")
    excluded = "        - {architecture: btsbot_cnn, pretraining: galaxies}\n"
    project.edit("config.yaml", excluded, excluded + excluded.replace("galaxies", "mine"))


def use_local_weights(project, architecture="test_convnext") -> None:
    """Let the toy study start from a file of weights."""
    network = timm.create_model(architecture, pretrained=False)
    (project.folder / "given").mkdir()
    torch.save(network.state_dict(), project.folder / "given" / "test_convnext.pt")
    use_weights(project, "file: 'given/{architecture}.pt', trained_on: [ImageNet, Galaxy Zoo]")


def test_local_weights_become_an_encoder_folder_with_their_history(fresh):
    use_local_weights(fresh)
    planned = fresh.planned()
    assert (planned["import_encoder"], planned["train"]) == (1, 10)
    target = "results/toy/encoders/test_convnext-mine/manifest.json"
    result = fresh.snakemake(target, seconds=120)
    assert result.returncode == 0, result.stdout + result.stderr
    manifest = read_manifest(fresh.folder / Path(target).parent)
    assert manifest["label"] == "ImageNet -> Galaxy Zoo"
    assert fresh.planned(target) == {}


def test_local_weights_of_another_network_stop_with_the_reason(fresh):
    use_local_weights(fresh, "test_resnet")
    result = fresh.snakemake("results/toy/encoders/test_convnext-mine/manifest.json", seconds=120)
    assert result.returncode != 0
    said = result.stdout + result.stderr
    assert "given/test_convnext.pt" in said
    assert "check the architecture" in said


STAND_IN = """import sys

sys.path.append("tests/unit")
import hub_stand_in

hub_stand_in.install("hub")
from alertgrid.weights.hub"""


def publish(project, seed: int, commit: str) -> None:
    """Put weights on the stand-in of the hub, where `main` is at this commit."""
    folder = project.folder / "hub" / "somebody" / "encoder"
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    torch.save(timm.create_model("test_convnext", pretrained=False).state_dict(), folder / "weights.bin")
    (folder / "main").write_text(commit)
    (folder / "card.json").write_text('{"license": "mit"}')


def test_a_second_fetch_gets_the_bytes_of_the_first_or_none(fresh):
    hub = "hub: {repo: somebody/encoder, revision: main, filename: weights.bin, trained_on: [ImageNet]}"
    use_weights(fresh, hub)
    fresh.edit("workflow/scripts/fetch_encoder.py", "from alertgrid.weights.hub", STAND_IN)
    first, later = "a" * 40, "b" * 40
    publish(fresh, 1, first)
    target = "results/toy/encoders/test_convnext-mine/manifest.json"
    folder = (fresh.folder / target).parent
    result = fresh.snakemake(target, seconds=180)
    assert result.returncode == 0, result.stdout + result.stderr
    manifest = read_manifest(folder)
    assert (manifest["revision"], manifest["licence"]) == (first, "mit")
    assert read_json(fresh.folder / "pins.json")["somebody/encoder"]["main"]["commit"] == first
    assert fresh.planned(target) == {}
    # The branch moves on: its first commit is fetched again.
    publish(fresh, 1, later)
    shutil.rmtree(folder)
    result = fresh.snakemake(target, seconds=180)
    assert result.returncode == 0, result.stdout + result.stderr
    assert read_manifest(folder) == manifest
    # The file changes: it is refused, although Snakemake has removed the folder with the manifest.
    publish(fresh, 2, later)
    result = fresh.snakemake("--forcerun", "fetch_encoder", "--", target, seconds=180)
    assert result.returncode != 0
    assert not (fresh.folder / target).exists()
    log = (fresh.folder / "results/toy/logs/fetch_encoder/test_convnext-mine.log").read_text()
    assert "has SHA-256" in log + result.stdout + result.stderr
    assert "pins.json" in log + result.stdout + result.stderr
