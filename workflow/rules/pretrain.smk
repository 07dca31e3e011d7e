# Encoders before they see an alert: trained here on a corpus of images, or fetched from a hub.

TRAINED = [name for name, spec in SETTINGS["pretraining"].items() if "corpus" in spec]
FETCHED = [name for name, spec in SETTINGS["pretraining"].items() if "hub" in spec]
ENCODER_FILES = ("model.safetensors", "config.json", "manifest.json")
NO_NAME = "^$"  # a pattern that fits no wildcard, for studies without such encoders


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


def start_of(wildcards):
    """Manifest of the encoder that a pre-training starts from, if any."""
    start = SETTINGS["pretraining"][wildcards.pretraining].get("start", "none")
    return [] if start == "none" else f"<study>/encoders/{wildcards.architecture}-{start}/manifest.json"


def pretraining_recipe(wildcards):
    """Recipe of a pre-training: the study's, with the changes of the pre-training, then those for the architecture."""
    spec = SETTINGS["pretraining"][wildcards.pretraining]
    recipe = {key: value for key, value in SETTINGS["training"].items() if key != "overrides"} | spec.get(
        "training", {}
    )
    overrides = recipe.pop("overrides", {})
    return canonical(override(recipe, overrides, wildcards.architecture))


def pretrain_options(wildcards, input):
    """What the names say of a pre-training, as options of the pre-trainer."""
    seed = SETTINGS["pretraining"][wildcards.pretraining].get("seed", 0)
    start = f" --start {Path(input.start).parent}" if input.start else ""
    return f"--architecture {wildcards.architecture} --seed {seed}{start}"


def encoder_scores(wildcards):
    """Own validation scores of all encoders that were trained here and that the grid uses."""
    used = GRID[GRID["pretraining"].isin(TRAINED)].drop_duplicates(["architecture", "pretraining"])
    return [f"<study>/encoders/{run.architecture}-{run.pretraining}/scores.csv" for run in used.itertuples()]


rule simulate_corpus:
    """Simulate galaxies with known morphology."""
    output:
        "<study>/corpora/{pretraining}.h5",
    log:
        "<study>/logs/simulate_corpus/{pretraining}.log",
    conda:
        "../../envs/study.yaml"
    params:
        settings=lambda wildcards: SETTINGS["pretraining"][wildcards.pretraining]["corpus"],
        code=code_of("sources/simulation"),
    script:
        "../scripts/simulate_corpus.py"


rule pretrain:
    """Train an encoder on a corpus of images."""
    input:
        corpus=corpus_files,
        start=start_of,
    output:
        multiext("<study>/encoders/{architecture}-{pretraining}/", *ENCODER_FILES, "history.csv", "scores.csv"),
    log:
        "<study>/logs/pretrain/{architecture}-{pretraining}.log",
    wildcard_constraints:
        pretraining="|".join(TRAINED) or NO_NAME,
    conda:
        "../../envs/study.yaml"
    threads: 1
    params:
        options=pretrain_options,
        corpus=corpus_of,
        training=pretraining_recipe,
        models=canonical(SETTINGS["models"]),
        checkpoints=f"{FOLDER}/checkpoints/encoders/{{architecture}}-{{pretraining}}",
        folder=subpath(output[0], parent=True),
        code=code_of("pretraining", "corpora", "training", "models", "encoders", "weights", "checkpoints"),
    shell:
        "exec python -m alertgrid pretrain {params.options} --corpus {params.corpus:q} --training {params.training:q}"
        " --models {params.models:q} --checkpoints {params.checkpoints} --output {params.folder}"
        " --threads {threads} > {log} 2>&1"


rule fetch_encoder:
    """Download published weights at a pinned revision; the only rule that needs the internet."""
    output:
        multiext("<study>/encoders/{architecture}-{pretraining}/", *ENCODER_FILES),
    log:
        "<study>/logs/fetch_encoder/{architecture}-{pretraining}.log",
    wildcard_constraints:
        pretraining="|".join(FETCHED) or NO_NAME,
    conda:
        "../../envs/study.yaml"
    params:
        folder=subpath(output[0], parent=True),
        hub=lambda wildcards: SETTINGS["pretraining"][wildcards.pretraining]["hub"],
        code=code_of("hub", "weights"),
    script:
        "../scripts/fetch_encoder.py"


rule fetch:
    """Download everything that the study needs from a hub."""
    input:
        lambda wildcards: [
            f"<study>/encoders/{run.architecture}-{run.pretraining}/manifest.json"
            for run in GRID[GRID["pretraining"].isin(FETCHED)].itertuples()
        ],
