# The runs of the grid as jobs: what they start from, how the trainer is told, and which of them share a job.


# `exec` gives the trainer the scheduler's signals and its whole grace time. The log gets everything, the console (3) one
# line for each finished run.
TRAIN = (
    "exec python -m alertgrid train --dataset {input.dataset} --catalogue {input.catalogue} {params.options}"
    " --training {params.training:q} --models {params.models:q} --code {params.code}"
    " --threads {threads} --memory-mb {resources.mem_mb} --budget-seconds $(({resources.runtime} * 60)) --requeue"
    " --machine {resources.machine} --console 3 3>&1 > {log} 2>&1"
)


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
    return f"{FOLDER}/encoders/{run['architecture']}-{run['pretraining']}"


def models_of(run):
    """Settings of the networks that this run builds, and no others, so that the rest may change without a rerun."""
    return canonical(network_settings(run["architecture"], run["inputs"]))


def network_settings(architecture, inputs):
    """Settings that building one network takes; those of a fusion's branches belong to the branches."""
    head = "cnn" if architecture == "btsbot_cnn" else "head"
    shared = ("input_normalisation", "input_size")
    used = {
        "image": (*shared, head),
        "metadata": ("metadata",),
        "fusion": ("fusion",),
        "joint": (*shared, "cnn", "joint"),
    }[inputs]
    kept = {key: SETTINGS["models"][key] for key in used if key in SETTINGS["models"]}
    own = own_settings(SETTINGS["models"], architecture)
    return kept | ({"architectures": own} if own else {})


# The custom CNN of the claims is what inference is timed beside.
CUSTOM_CNN = SETTINGS["report"].get("claims", {}).get("baseline", Rules.baseline)


def timed_models(wildcards):
    """Settings of the network that a job times, of its branches where it fuses two, and of the custom CNN beside it."""
    kinds = ("image", "metadata", "fusion") if wildcards.inputs == "fusion" else (wildcards.inputs,)
    networks = [(wildcards.architecture, kind) for kind in kinds]
    networks += [(CUSTOM_CNN, kind) for kind in (("image",) if kinds == ("metadata",) else kinds)]
    return reduce(merge, (network_settings(*network) for network in networks))


def study_recipe(run):
    """What the study says of the training of one run, with the overrides for its cell."""
    return run_recipe(SETTINGS["training"], run["cell"])


def recipe_of(run):
    """Recipe of one run, for the trainer."""
    return canonical({key: value for key, value in study_recipe(run).items() if key != "tuned"})


def joined_cells(run):
    """Cells of the two networks that a frozen fusion joins."""
    return cell_name(run["architecture"], run["pretraining"], "image", run["stamps"]), METADATA_CELL


def train_inputs(runs):
    """Files that these runs of a cell start from: an encoder's manifest, or the weights of the runs that fusion joins."""
    if runs[0]["inputs"] == "fusion":
        parts = [run_name(cell, run["fraction"], run["seed"]) for run in runs for cell in joined_cells(run)]
        return [f"<study>/runs/{part}/weights.safetensors" for part in parts]
    return encoder_manifest(runs[0]) + tuned_file(runs[0])


def encoder_manifest(run):
    """Manifest of the encoder that a run starts from, in a list; empty for random weights."""
    return [] if run["pretraining"] == "none" else [f"{encoder_folder(run)}/manifest.json"]


def train_options(runs):
    """What the grid says of these runs of a cell, as options of the trainer."""
    options = [f"--{name} {FOLDER}/{name}" for name in ("runs", "checkpoints")]
    options += [f"--{axis} {runs[0][axis]}" for axis in ("architecture", "pretraining", "inputs", "stamps", "labels")]
    if runs[0]["inputs"] == "fusion":
        options += ["--image-cell {} --metadata-cell {}".format(*joined_cells(runs[0]))]
    elif runs[0]["pretraining"] != "none":
        options += [f"--encoder {encoder_folder(runs[0])}"]
    options += [f"--tuned {path}" for path in tuned_file(runs[0])]
    return " ".join(options + [f"--run {run['fraction']:g} {run['seed']} {run['draw']}" for run in runs])


def run_files(runs):
    """All files that these runs leave."""
    return [f"<study>/runs/{run['run']}/{file}" for run in runs for file in RUN_FILES]


# Job -> its runs, where jobs train several (config key packing).
PACKS = {pack: [run for _, run in runs.iterrows()] for pack, runs in GRID.groupby("pack", sort=False)}


def inherit_resources():
    """Let every pack ask for what the profile says of rule train or fuse.

    A profile names rules, and packs are rules of their own: without this a pack would get the default resources, on
    Slurm no GPU and an hour. Snakemake reads these settings when the first rule is defined, and hands them on to the
    Snakemake inside each Slurm job, so this comes before all rules. What is set for a single pack counts instead.
    """
    settings = workflow.resource_settings
    for name in ("overwrite_resources", "overwrite_threads"):
        given = getattr(settings, name)
        rules = {pack: pack.split("_", 1)[0] for pack in PACKS}
        inherited = {pack: given[rule] for pack, rule in rules.items() if rule in given}
        setattr(settings, name, {**inherited, **given})


if SETTINGS.get("packing"):
    inherit_resources()


def runs_with(place):
    """Runs of the grid for which there is a file, `place` being its path with {run}."""
    return [run for run in GRID["run"] if Path(FOLDER, place.format(run=run)).exists()]


# What a partial report stands on: runs in their place, and those that the trainer kept when Snakemake removed the
# outputs of a job in which another run failed. Their records are written last.
IN_PLACE = runs_with("runs/{run}/run.json") if PARTIAL else []
KEPT = [run for run in runs_with("checkpoints/{run}/finished/finished.json") if run not in IN_PLACE] if PARTIAL else []


def finished_runs(wildcards):
    """Runs that the tables stand on: all of the grid, or in a partial report those that are there."""
    return [f"<study>/runs/{run}/predictions.h5" for run in (IN_PLACE + KEPT if PARTIAL else GRID["run"])]
