# Where weights come from: corpora and starts of pre-trainings, what the pre-trainer is told, published models.


TRAINED = [name for name, spec in SETTINGS["pretraining"].items() if "corpus" in spec]
FETCHED = [name for name, spec in SETTINGS["pretraining"].items() if "hub" in spec]
LOCAL = [name for name, spec in SETTINGS["pretraining"].items() if {"folder", "file"} & spec.keys()]
FETCHED_ENTRANTS = [name for name, spec in SETTINGS["entrants"].items() if "hub" in spec]
ENTRANT_FILES = ("pytorch_model.bin", "train_config.json")
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


def local_weights(wildcards):
    """File or folder of the local weights of an encoder."""
    return local_path(SETTINGS["pretraining"][wildcards.pretraining], wildcards.architecture)


def recipe_of_pretraining(wildcards):
    """Recipe of a pre-training, for the pre-trainer."""
    own = SETTINGS["pretraining"][wildcards.pretraining].get("training", {})
    return canonical(pretraining_recipe(SETTINGS["training"], own, f"{wildcards.architecture}-{wildcards.pretraining}"))


def pretraining_models(wildcards):
    """Settings of the encoder that is pre-trained; heads play no part."""
    shared = ("input_normalisation", "input_size")
    kept = {key: SETTINGS["models"][key] for key in shared if key in SETTINGS["models"]}
    own = own_settings(SETTINGS["models"], wildcards.architecture)
    return canonical(kept | ({"architectures": own} if own else {}))


def pretrain_options(wildcards, input):
    """What the names say of a pre-training, as options of the pre-trainer."""
    seed = SETTINGS["pretraining"][wildcards.pretraining].get("seed", 0)
    start = f" --start {Path(input.start).parent}" if input.start else ""
    return f"--architecture {wildcards.architecture} --seed {seed}{start}"


def entrant_files(wildcards):
    """Files of a published model: fetched, or in the folder that the study names."""
    spec = SETTINGS["entrants"][wildcards.entrant]
    folder = spec.get("folder", f"{FOLDER}/entrants/{wildcards.entrant}/model")
    return [f"{folder}/{name}" for name in ENTRANT_FILES]
