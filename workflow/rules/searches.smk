# What the search of settings asks: which cells, with what, and which runs use what was found.


SEARCHED = searched_cells(GRID, SETTINGS["tuning"]).set_index("cell")
# A figure that is drawn otherwise must not search anew; the code of the trainer is among the options.
TUNE_CODE = code_of("tuning.command", without=(*NEUTRAL, "figures", "training"))
TUNING_FILES = ("best.yaml", "trials.csv", "importance.csv", "captions.json")


def searched_cell(wildcards):
    """The searched cell with its axes, as a run at the share of the training objects that its trials use."""
    search = SETTINGS["tuning"][SEARCHED.at[wildcards.cell, "architecture"]]
    seed = search.get("seed", 0)
    place = {"fraction": search.get("fraction", 1.0), "seed": seed, "draw": seed % SETTINGS["splits"]["draws"]}
    return {**SEARCHED.loc[wildcards.cell], **place, "cell": wildcards.cell, "labels": "given"}


def tuned_file(run):
    """Best settings that a run trains with, in a list; empty where it trains as the study states."""
    cell = cell_name(run["architecture"], run["pretraining"], run["inputs"], run["stamps"])
    tuned = study_recipe(run).get("tuned", False) and cell in SEARCHED.index
    return [f"{FOLDER}/tuning/{cell}/best.yaml"] if tuned else []


def searches_used(wildcards):
    """Figures of the searches that runs of the grid used; in a partial report those that there are."""
    used = {path for run in GRID.to_dict("records") for path in tuned_file(run)}
    return wanted(sorted(str(Path(path).parent / "captions.json") for path in used))


def tune_options(wildcards):
    """The cell and its search, as options of the command; of the wildcards alone, so that a change is noticed."""
    run = searched_cell(wildcards)
    search = SETTINGS["tuning"][run["architecture"]]
    axes = ("architecture", "pretraining", "inputs", "stamps", "fraction", "seed", "draw")
    options = {axis: run[axis] for axis in axes} | {"trials": search["trials"]}
    options |= {key.replace("_", "-"): search[key] for key in ("startup_trials", "warmup_epochs") if key in search}
    options |= {"workers": search.get("at_once", 4), "ranges": shlex.quote(canonical(search["ranges"]))}
    options["code"] = TRAIN_CODE  # trials of other code are another search
    if run["pretraining"] != "none":
        options["encoder"] = encoder_folder(run)
    return " ".join(f"--{name} {value}" for name, value in options.items())


def trial_resources(wildcards, resources):
    """What a trial asks of Slurm, as the profile says; without it the trials share the cores of this job."""
    asked = {name[6:]: resources.get(name) for name in resources.keys() if name.startswith("trial_")}
    if asked:
        asked["account"] = resources.get("slurm_account")
    return canonical({name: value for name, value in asked.items() if value not in (None, "None")})
