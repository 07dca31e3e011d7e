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

from alertgrid.encoders import check_architectures
from alertgrid.errors import StudyError
from alertgrid.grid import METADATA_CELL, RUN_FILES, assign_packs, cell_name, expand_grid, run_name
from alertgrid.grid import check_pretraining, encoders_needed
from alertgrid.imports import NEUTRAL
from alertgrid.imports import code_hash as code_of  # of the entry modules of a rule and all that they import
from alertgrid.launch import guard
from alertgrid.settings.paths import existing_paths, local_path, local_specs, source_files, weight_files
from alertgrid.tuning.search_space import check_tuning, searched_cells
from alertgrid.settings.study import merge, pretraining_recipe, resolve_study, run_recipe
from alertgrid.settings.vocabulary import unused_keys
from alertgrid.settings.words import own_settings
from alertgrid.claims.rules import Rules

# script:, shell: and submitit's children all find the package through this, under conda too.
# Jobs must not look for weights on a hub of their own accord; the fetch rules alone take this back.
shell.prefix(f"export PYTHONPATH={shlex.quote(str(PACKAGE))} HF_HUB_OFFLINE=1; ")


FOLDER = f"results/{config['study']}"
PARTIAL = bool(config.get("partial"))  # report what there is, train nothing


pathvars:
    study=FOLDER,


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
            check_architectures(settings["grid"]["architectures"], settings["models"])
        grid = expand_grid(**settings["grid"], draws=settings["splits"]["draws"])
        settings.setdefault("tuning", {})
        check_tuning(settings, grid, schema, where)
        if workflow.is_main_process:
            for key, meaning in unused_keys(settings, grid).items():
                print(f"Note: {where}.{key} {meaning}", file=sys.stderr, flush=True)
        settings["pretraining"] = local_specs(settings["pretraining"], grid, f"{where}.pretraining")
        return settings, grid.assign(pack=assign_packs(grid, settings.get("packing", 0)))
    except StudyError as error:
        raise WorkflowError(str(error))


SETTINGS, GRID = resolve()
# Networks of the grid that differ in cost, as {architecture}-{inputs}; see `subjects` for the stamps.
NETWORKS = ["-".join(pair) for pair in GRID[["architecture", "inputs"]].drop_duplicates().to_numpy()]


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
