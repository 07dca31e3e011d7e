"""A stand-in for the Hugging Face hub: local files behind the functions that `weights.hub` calls."""

import json
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
from huggingface_hub import errors as hub_errors
from safetensors.torch import save_file

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub:
    """A hub of local files; `hf_hub_download` and `HfApi` read it as the real ones read the network.

    A file `main` of a repository names the commit of its branch, `card.json` holds its model card.
    """

    def __init__(self, folder: Path):
        self.folder, self.asked = folder, []

    def put(self, repo, filename, value):
        path = self.folder / repo / filename
        path.parent.mkdir(parents=True, exist_ok=True)
        if filename.endswith(".json"):
            path.write_text(json.dumps(value))
        elif filename.endswith(".safetensors"):
            save_file(value, path)
        else:
            torch.save(value, path)
        return path

    def download(self, repo, filename, revision):
        self.asked.append((repo, filename, revision))
        path = self.folder / repo / filename
        if not path.is_file():
            raise hub_errors.EntryNotFoundError(f"404: {filename}")
        return str(path)

    def model_info(self, repo, revision):
        main, card = (self.folder / repo / name for name in ("main", "card.json"))
        found = SimpleNamespace(**json.loads(card.read_text())) if card.exists() else None
        return SimpleNamespace(sha=main.read_text() if main.exists() else COMMIT, card_data=found)

    def list_repo_commits(self, repo):
        return [SimpleNamespace(commit_id=commit) for commit in (COMMIT, "f" * 40)]


@pytest.fixture
def fake_hub(tmp_path, monkeypatch):
    fake = FakeHub(tmp_path / "hub")
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fake.download)
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: fake)
    return fake


def install(folder):
    """Put a hub of local files in the place of the real one, in a process of its own."""
    fake = FakeHub(Path(folder))
    huggingface_hub.hf_hub_download = fake.download
    huggingface_hub.HfApi = lambda: fake
