# Settings, paths and the few questions that rules ask. Read again by every job, so nothing heavy is imported here.
import json
import re
import shlex
import sys
from functools import reduce
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError

PACKAGE = Path(workflow.basedir) / "workflow"
sys.path.insert(0, str(PACKAGE))

from alertgrid.encoders import named_size
from alertgrid.errors import StudyError
from alertgrid.grid import METADATA_CELL, RUN_FILES, assign_packs, cell_name, expand_grid, run_name
from alertgrid.grid import check_architectures, check_pretraining, encoders_needed
from alertgrid.imports import NEUTRAL
from alertgrid.imports import code_hash as code_of  # of the entry modules of a rule and all that they import
from alertgrid.launch import guard
from alertgrid.tuning.search_space import check_tuning, searched_cells
from alertgrid.settings import expand_path, merge, pretraining_recipe, resolve_study, run_recipe
from alertgrid.vocabulary import unused_keys
from alertgrid.verdicts import Rules

# script:, shell: and submitit's children all find the package through this, under conda too.
# Jobs must not look for weights on a hub of their own accord; the fetch rules alone take this back.
shell.prefix(f"export PYTHONPATH='{PACKAGE}' HF_HUB_OFFLINE=1; ")


FOLDER = f"results/{config['study']}"
PARTIAL = bool(config.get("partial"))  # report what there is, train nothing


pathvars:
    study=FOLDER,


# Settings of readers and corpora that name files or folders; "$NAME" in them is an environment variable.
PATH_KEYS = {"folder", "file", "labels", "history", "images"}


def existing_paths(settings, where):
    """Settings with environment variables in paths replaced; a path that does not exist stops the study."""
    result = dict(settings)
    for name in PATH_KEYS & result.keys():
        result[name] = expand_path(str(result[name]), f"{where}.{name}")
        if not Path(result[name]).exists():
            raise StudyError(f"{where}.{name}", f"{result[name]} does not exist", "a file or folder", "correct it")
    return result


def check_local_weights(pretraining, grid, where):
    """Fill in the paths of local weights; those that the grid uses must exist."""
    for name, spec in pretraining.items():
        for key in {"folder", "file"} & spec.keys():
            spec[key] = expand_path(str(spec[key]), f"{where}.{name}.{key}")
            for architecture in grid.loc[grid["pretraining"] == name, "architecture"].unique():
                existing_paths(
                    {key: spec[key].replace("{architecture}", named_size(architecture)[0])}, f"{where}.{name}"
                )


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
        for name, spec in settings.setdefault("entrants", {}).items():
            settings["entrants"][name] = existing_paths(spec, f"{where}.entrants.{name}")
        check_pretraining(settings["grid"]["pretraining"], settings["pretraining"])
        if workflow.is_main_process:  # jobs read this file again and need not look once more
            guard.warn(FOLDER, sys.argv)
            check_architectures(settings["grid"]["architectures"])
        grid = expand_grid(**settings["grid"], draws=settings["splits"]["draws"])
        settings.setdefault("tuning", {})
        check_tuning(settings, grid, schema, where)
        if workflow.is_main_process:
            for key in unused_keys(settings, grid):
                print(f"Note: {where}.{key} fits nothing in this study", file=sys.stderr, flush=True)
        check_local_weights(settings["pretraining"], grid, f"{where}.pretraining")
        return settings, grid.assign(pack=assign_packs(grid, settings.get("packing", 0)))
    except StudyError as error:
        raise WorkflowError(str(error))


SETTINGS, GRID = resolve()
TRAINED = [name for name, spec in SETTINGS["pretraining"].items() if "corpus" in spec]
FETCHED = [name for name, spec in SETTINGS["pretraining"].items() if "hub" in spec]
LOCAL = [name for name, spec in SETTINGS["pretraining"].items() if {"folder", "file"} & spec.keys()]
FETCHED_ENTRANTS = [name for name, spec in SETTINGS["entrants"].items() if "hub" in spec]
ENTRANT_FILES = ("pytorch_model.bin", "train_config.json")
ENCODER_FILES = ("model.safetensors", "config.json", "manifest.json")
# Networks of the grid that differ in cost, as {architecture}-{inputs}; see `subjects` for the stamps.
NETWORKS = list(dict.fromkeys(GRID["architecture"] + "-" + GRID["inputs"]))
NO_NAME = "^$"  # a pattern that fits no wildcard, for studies without such encoders


wildcard_constraints:
    cell=r"[\w.@]+-\w+-(image|metadata|joint)(-\w+)*",
    image=r"[\w.@]+-\w+",
    stamps=r"(-\w+)?",
    fraction=r"[\d.e-]+",
    seed=r"\d+",
    architecture=r"[\w.@]+",
    inputs="image|metadata|fusion|joint",
    pretraining=r"\w+",
    entrant=r"[\w.]+",


TRAIN_CODE = code_of("training.command")


def canonical(value):
    """Settings as one line of JSON, equal for equal settings."""
    return json.dumps(value, sort_keys=True)


def source_files(wildcards):
    """Files that the reader will open, so that a changed file is noticed."""
    data = SETTINGS["data"]
    files = [data[name] for name in ("file", "labels", "history") if name in data]
    folder = sorted(path for path in Path(data["folder"]).rglob("*") if path.is_file()) if "folder" in data else []
    return files + folder


def corpus_of(wildcards):
    """Settings of the corpus, as the pre-trainer takes them."""
    corpus = dict(SETTINGS["pretraining"][wildcards.pretraining]["corpus"])
    if corpus["source"] == "simulation":
        corpus = {"source": "hdf5", "file": f"{FOLDER}/corpora/{wildcards.pretraining}.h5"}
    return canonical(corpus)


def corpus_files(wildcards):
    """Files that the corpus is read from."""
    corpus = SETTINGS["pretraining"][wildcards.pretraining]["corpus"]
    if corpus["source"] == "simulation":
        return f"<study>/corpora/{wildcards.pretraining}.h5"
    return [corpus[name] for name in ("images", "labels") if name in corpus]


def local_weights(wildcards):
    """File or folder of the local weights of an encoder."""
    spec = SETTINGS["pretraining"][wildcards.pretraining]
    return (spec.get("folder") or spec["file"]).replace("{architecture}", named_size(wildcards.architecture)[0])


def local_files(wildcards):
    """Files that local weights are read from, so that a changed one is noticed."""
    path = Path(local_weights(wildcards))
    names = ("model.safetensors", "pytorch_model.bin", "config.json", "manifest.json")
    return [str(path / name) for name in names if (path / name).is_file()] if path.is_dir() else str(path)


def start_of(wildcards):
    """Manifest of the encoder that a pre-training starts from, if any."""
    start = SETTINGS["pretraining"][wildcards.pretraining].get("start", "none")
    return [] if start == "none" else f"<study>/encoders/{wildcards.architecture}-{start}/manifest.json"


def recipe_of_pretraining(wildcards):
    """Recipe of a pre-training, for the pre-trainer."""
    own = SETTINGS["pretraining"][wildcards.pretraining].get("training", {})
    return canonical(pretraining_recipe(SETTINGS["training"], own, f"{wildcards.architecture}-{wildcards.pretraining}"))


def pretraining_models(wildcards):
    """Settings of the encoder that is pre-trained; heads play no part."""
    shared = ("input_normalisation", "input_size")
    kept = {key: SETTINGS["models"][key] for key in shared if key in SETTINGS["models"]}
    own = SETTINGS["models"].get("architectures", {}).get(wildcards.architecture)
    return canonical(kept | ({"architectures": {wildcards.architecture: own}} if own else {}))


def pretrain_options(wildcards, input):
    """What the names say of a pre-training, as options of the pre-trainer."""
    seed = SETTINGS["pretraining"][wildcards.pretraining].get("seed", 0)
    start = f" --start {Path(input.start).parent}" if input.start else ""
    return f"--architecture {wildcards.architecture} --seed {seed}{start}"


def encoder_scores(wildcards):
    """Own validation scores of the encoders that were trained here, and that runs or other encoders start from."""
    needed = encoders_needed(GRID, SETTINGS["pretraining"])
    names = ["-".join(encoder) for encoder in needed if encoder[1] in TRAINED]
    return wanted(f"{FOLDER}/encoders/{name}/scores.csv" for name in names)


def wanted(paths):
    """What the tables stand on: all of these files, or in a partial report those that exist."""
    return [path for path in paths if Path(path).exists()] if PARTIAL else list(paths)


def finished_entrants(wildcards):
    """Predictions of the published models that are entered."""
    return wanted(f"{FOLDER}/entrants/{name}/predictions.h5" for name in SETTINGS["entrants"])


def entrant_files(wildcards):
    """Files of a published model: fetched, or in the folder that the study names."""
    spec = SETTINGS["entrants"][wildcards.entrant]
    folder = spec.get("folder", f"{FOLDER}/entrants/{wildcards.entrant}/model")
    return [f"{folder}/{name}" for name in ENTRANT_FILES]


def begin_study(log):
    """Before the first job of a real run: is this Snakemake alone, and does the study keep to its budget?"""
    from alertgrid.plan.command import check_start

    asked = set().union(*(rule.resources for rule in workflow.rules))
    slurm = not workflow.local_exec
    at_once = workflow.nodes if slurm else workflow.cores
    try:
        if not PARTIAL:
            check_start(SETTINGS, FOLDER, slurm=slurm, at_once=at_once, asked=asked, where=f"studies.{config['study']}")
        guard.begin(FOLDER, log, slurm=slurm)
    except StudyError as error:
        raise WorkflowError(str(error))


def what_failed():
    """After a start in which jobs failed: which runs, why, and what to do."""
    from alertgrid.status import failures

    study = config["study"]
    return (
        f"{failures(FOLDER)}Some jobs failed; what is finished is kept. Start the same command again to go on.\n"
        f"  every run:         PYTHONPATH=workflow python -m alertgrid status --study {study}\n"
        f"  what there is now: snakemake --config study={study} partial=true -- report"
    )
