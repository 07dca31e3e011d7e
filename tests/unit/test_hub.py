"""Weights from a hub, which is a stand-in: what is fetched is the file, always the same, with its licence."""

import shutil
from pathlib import Path

import huggingface_hub
import pytest
import torch
from alertgrid import weights
from alertgrid.encoders import build_encoder
from alertgrid.errors import StudyError
from alertgrid.files import sha256
from alertgrid.weights import hub, pins
from encoder_stand_in import TINY, network
from hub_stand_in import COMMIT
from huggingface_hub import errors as hub_errors

FACTS = {"trained_on": ("ImageNet",), "licence": "apache-2.0", "normalisation": "[0, 1]"}


def source(**changes):
    facts = {"repo": "a/b", "revision": COMMIT, "filename": "pytorch_model.bin", "architecture": TINY, **FACTS}
    return hub.HubSource(**{**facts, **changes})


def fetch(folder, given):
    """Fetch into folder/encoder, pinned in folder/pins.json."""
    return hub.fetch_encoder(folder / "encoder", given, pins.Pins(folder / "pins.json"))


@pytest.mark.parametrize("filename", ["pytorch_model.bin", "model.safetensors"])
def test_fetched_weights_are_the_files_without_its_classifier(filename, fake_hub, tmp_path):
    state = network(TINY, num_classes=10).state_dict()
    path = fake_hub.put("a/b", filename, state)
    manifest = fetch(tmp_path, source(filename=filename, sha256=sha256(path)))
    assert fake_hub.asked == [("a/b", filename, COMMIT)]
    assert manifest["origin"] == "hub:a/b"
    assert (manifest["revision"], manifest["source_sha256"]) == (COMMIT, sha256(path))
    encoder = build_encoder(TINY)
    weights.load_encoder_weights(encoder, tmp_path / "encoder")
    loaded = encoder.backbone.state_dict()
    assert set(state) - set(loaded) == {"fc.weight", "fc.bias"}
    assert all(torch.equal(loaded[key], state[key]) for key in loaded)


def test_the_galaxy_zoo_encoders_as_published(fake_hub, tmp_path):
    entry = hub.hub_source("galaxyzoo", "convnext_pico")
    fake_hub.put(entry.repo, entry.filename, network("convnext_pico", num_classes=0).state_dict())
    manifest = fetch(tmp_path, entry)
    assert manifest["label"] == "ImageNet -> Galaxy Zoo"
    assert manifest["revision"] == "ca4dc5278aa675d7982e690a1ec10de8e945963e"
    assert hub.hub_source("galaxyzoo", "maxvit_tiny_rw_224").revision == "77a3a77"


def test_imagenet_is_timms_tag_at_a_pinned_revision(fake_hub, tmp_path):
    entry = hub.hub_source("imagenet", "convnext_pico")
    assert entry.repo == "timm/convnext_pico.d1_in1k"
    assert len(entry.revision) == 40
    assert hub.hub_source("imagenet", "maxvit_tiny_rw_224").repo == "timm/maxvit_tiny_rw_224.sw_in1k"
    fake_hub.put(entry.repo, entry.filename, network("convnext_pico").state_dict())
    with pytest.raises(StudyError, match="SHA-256"):  # the stand-in's weights are not the published ones
        fetch(tmp_path, entry)
    other = hub.hub_source("imagenet", TINY)
    fake_hub.put(other.repo, other.filename, network(TINY).state_dict())
    assert fetch(tmp_path, other)["revision"] == COMMIT


@pytest.mark.parametrize(("name", "architecture"), [("galaxyzoo", TINY), ("imagenet", "btsbot_cnn"), ("mars", TINY)])
def test_unpublished_weights_are_refused(name, architecture):
    with pytest.raises(StudyError, match="no published weights"):
        hub.hub_source(name, architecture)


def test_a_study_may_name_any_repository():
    entry = hub.hub_source({"repo": "a/b", "revision": "v1", "trained_on": ["ImageNet", "my survey"]}, "maxvit_tiny")
    assert (entry.architecture, entry.trained_on) == ("maxvit_tiny_rw_224", ("ImageNet", "my survey"))
    assert hub.hub_source("galaxyzoo", "maxvit_tiny") == hub.hub_source("galaxyzoo", "maxvit_tiny_rw_224")
    with pytest.raises(StudyError, match="revision"):
        hub.hub_source({"repo": "a/b"}, TINY)


def test_a_wrong_hash_is_refused(fake_hub, tmp_path):
    fake_hub.put("a/b", "pytorch_model.bin", network(TINY).state_dict())
    with pytest.raises(StudyError, match="SHA-256"):
        fetch(tmp_path, source(sha256="0" * 64))
    assert not (tmp_path / "encoder").exists()


def again(tmp_path, given):
    """Fetch as Snakemake does: into a folder that it has emptied."""
    shutil.rmtree(tmp_path / "encoder")
    return fetch(tmp_path, given)


def test_a_file_that_changed_since_the_first_fetch_is_refused(fake_hub, tmp_path):
    fake_hub.put("a/b", "pytorch_model.bin", network(TINY).state_dict())
    first = fetch(tmp_path, source())
    assert again(tmp_path, source()) == first
    fake_hub.put("a/b", "pytorch_model.bin", network(TINY, seed=12).state_dict())
    with pytest.raises(StudyError, match="SHA-256") as refusal:
        again(tmp_path, source())
    assert str(tmp_path / "pins.json") in refusal.value.remedy
    assert fetch(tmp_path, source(revision="f" * 40))["revision"] == "f" * 40


def test_a_branch_stays_at_the_commit_of_its_first_fetch(fake_hub, tmp_path):
    other = hub.hub_source("imagenet", TINY)
    assert other.revision == "main"
    fake_hub.put(other.repo, other.filename, network(TINY).state_dict())
    first = fetch(tmp_path, other)
    (fake_hub.folder / other.repo / "main").write_text("e" * 40)
    assert again(tmp_path, other) == first
    assert fake_hub.asked[-1] == (other.repo, other.filename, COMMIT)
    (tmp_path / "pins.json").unlink()
    assert again(tmp_path, other)["revision"] == "e" * 40


def test_pins_of_several_files_stand_side_by_side(tmp_path):
    found = pins.Pins(tmp_path / "pins.json")
    assert (found.commit("a/b", "main"), found.digest("a/b", "main", "x")) == (None, None)
    found.record("a/b", "main", COMMIT, {"x": "1"})
    found.record("a/b", "main", COMMIT, {"y": "2"})
    found.record("a/a", "v1", "f" * 40, {"x": "3"})
    again = pins.Pins(tmp_path / "pins.json")
    assert [again.digest("a/b", "main", name) for name in "xyz"] == ["1", "2", None]
    assert (again.commit("a/b", "main"), again.commit("a/a", "v1")) == (COMMIT, "f" * 40)
    assert again.commit("a/b", "v1") is None
    assert [path.name for path in tmp_path.iterdir()] == ["pins.json"]


def test_the_licence_is_the_model_card_s(fake_hub, tmp_path):
    fake_hub.put("a/b", "pytorch_model.bin", network(TINY).state_dict())
    assert fetch(tmp_path, source())["licence"] == "apache-2.0"  # the study's own word
    assert again(tmp_path, source(licence=None))["licence"] == "unknown"
    fake_hub.put("a/b", "card.json", {"license": "cc-by-4.0"})
    assert again(tmp_path, source(licence=None))["licence"] == "cc-by-4.0"


def test_revisions_become_commits(fake_hub):
    assert hub.full_revision("a/b", COMMIT) == COMMIT
    assert hub.full_revision("a/b", "main") == COMMIT
    assert hub.full_revision("a/b", COMMIT[:7]) == COMMIT
    with pytest.raises(StudyError, match="0 commits"):
        hub.full_revision("a/b", "abcdef0")


def test_weights_of_another_network_are_refused_when_fetched(fake_hub, tmp_path):
    fake_hub.put("a/b", "pytorch_model.bin", network("test_convnext").state_dict())
    with pytest.raises(StudyError, match="misses"):
        fetch(tmp_path, source())


def test_pickled_code_is_never_run(fake_hub, tmp_path):
    fake_hub.put("a/b", "pytorch_model.bin", {"layer": Path("not a tensor")})
    with pytest.raises(StudyError, match="cannot be read"):
        fetch(tmp_path, source())


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (hub_errors.LocalEntryNotFoundError("not in the cache"), "snakemake fetch"),
        (hub_errors.OfflineModeIsEnabled("offline"), "snakemake fetch"),
        (ConnectionError("no route"), "snakemake fetch"),
        (hub_errors.EntryNotFoundError("404"), "not on the hub"),
    ],
)
def test_a_machine_without_internet_is_told_what_to_do(error, text, monkeypatch, tmp_path):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    with pytest.raises(StudyError, match=text):
        fetch(tmp_path, source())
