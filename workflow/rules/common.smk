# Settings, paths and the few questions that rules ask. Read again by every job, so nothing heavy is imported here.
import hashlib
import json
import sys
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError

PACKAGE = Path(workflow.basedir) / "workflow"
sys.path.insert(0, str(PACKAGE))

from alertgrid.errors import StudyError
from alertgrid.grid import METADATA_CELL, cell_name, expand_grid
from alertgrid.settings import expand_path, override, resolve_study

# script:, shell: and submitit's children all find the package through this, under conda too.
shell.prefix(f"export PYTHONPATH='{PACKAGE}'; ")


FOLDER = f"results/{config['study']}"


pathvars:
    study=FOLDER,


# Settings of readers and corpora that name files or folders; "$NAME" in them is an environment variable.
PATH_KEYS = {"folder", "file", "labels", "history", "images"}
RUN_FILES = ("weights.safetensors", "last.safetensors", "history.csv", "predictions.h5", "run.json")


def existing_paths(settings, where):
    """Settings with environment variables in paths replaced; a path that does not exist stops the study."""
    result = dict(settings)
    for name in PATH_KEYS & result.keys():
        result[name] = expand_path(str(result[name]), f"{where}.{name}")
        if not Path(result[name]).exists():
            raise StudyError(f"{where}.{name}", f"{result[name]} does not exist", "a file or folder", "correct it")
    return result


def resolve():
    """Settings of the chosen study and its grid; a mistake stops here, before any job."""
    schema = yaml.safe_load((PACKAGE / "schemas" / "config.schema.yaml").read_text())
    try:
        settings = resolve_study(config, schema)
        where = f"studies.{config['study']}"
        settings["data"] = existing_paths(settings["data"], f"{where}.data")
        for name, spec in settings["pretraining"].items():
            if "corpus" in spec:
                spec["corpus"] = existing_paths(spec["corpus"], f"{where}.pretraining.{name}.corpus")
        return settings, expand_grid(**settings["grid"], draws=settings["splits"]["draws"])
    except StudyError as error:
        raise WorkflowError(str(error))


SETTINGS, GRID = resolve()


wildcard_constraints:
    cell=r"[\w.]+-\w+-(image|metadata|joint)(-\w+)*",
    image=r"[\w.]+-\w+",
    stamps=r"(-\w+)?",
    fraction=r"[\d.]+",
    seed=r"\d+",
    architecture=r"[\w.]+",
    pretraining=r"\w+",


def code_of(*modules):
    """Hash of the package files a rule runs, so that editing one reruns that rule and what depends on it."""
    files = []
    for module in modules:
        path = PACKAGE / "alertgrid" / module
        files += sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


TRAIN_CODE = code_of("training", "models", "encoders", "weights", "checkpoints", "dataset", "predictions", "splits")


def canonical(value):
    """Settings as one line of JSON, equal for equal settings."""
    return json.dumps(value, sort_keys=True)


def run_of(wildcards):
    """The line of the grid that a job's wildcards stand for."""
    cell = wildcards.get("cell") or f"{wildcards.image}-fusion{wildcards.stamps}"
    match = (GRID["cell"] == cell) & (GRID["seed"] == int(wildcards.seed))
    found = GRID[match & (GRID["fraction"] == float(wildcards.fraction))]
    if found.empty:
        raise WorkflowError(f"{cell} at fraction {wildcards.fraction}, seed {wildcards.seed} is not in the grid")
    return found.iloc[0]


def encoder_folder(run):
    """Folder of the initial weights of a run."""
    return f"<study>/encoders/{run['architecture']}-{run['pretraining']}"


def recipe_of(run):
    """Recipe of one run: the study's, with the overrides for its cell."""
    recipe = dict(SETTINGS["training"])
    overrides = recipe.pop("overrides", {})
    return canonical(override(recipe, overrides, run["architecture"], run["pretraining"], run["inputs"]))
