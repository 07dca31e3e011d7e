"""Columns that run.json and other records bring along: unit and meaning of each."""

from __future__ import annotations

COLUMNS: dict[str, tuple[str, str]] = {
    "architecture": ("", "encoder"),
    "pretraining": ("", "where the initial weights come from"),
    "inputs": ("", "image, metadata, fusion or joint"),
    "stamps": ("", "which cutouts the network sees"),
    "labels": ("", "given, or permuted for a control that must not beat chance"),
    "draw": ("", "number of the random subset of training sources"),
    "n_train_alerts": ("alerts", "trained on, after the limit per source"),
    "n_train_sources": ("sources", "trained on"),
    "n_val_alerts": ("alerts", "that chose the epoch"),
    "n_parameters": ("", "number of parameters of the whole network"),
    "n_trained_parameters": ("", "number of those that were trained; a fusion trains its head alone"),
    "best_epoch": ("", "epoch whose weights were kept, 1 for the first"),
    "epochs": ("", "epochs trained until the end or the early stop"),
    "best_val_loss": ("", "weighted binary cross-entropy of the validation alerts at the epoch kept"),
    "val_auc": ("", "ROC AUC of the validation alerts at the epoch kept"),
    "wall_seconds": ("s", "duration of the training, over all its attempts"),
    "alerts_per_second": ("1/s", "training alerts per second of the epochs"),
    "peak_memory_bytes": ("bytes", "most that was held: by tensors on a GPU, by the process on a CPU"),
    "device": ("", "cpu or cuda with its number"),
    "devices": ("", "devices that shared the run"),
    "precision": ("", "arithmetic of the network: fp32 or bf16"),
    "precision_changed": ("", "whether it was another one before the run went on, on another kind of machine"),
    "threads": ("", "threads of the CPU"),
    "git_revision": ("", "commit of the code; + where files differed from it"),
    "resumed": ("", "how often the run went on from a checkpoint"),
    "micro_batch": ("alerts", "part of a batch that went through the network at once; 0: all of it"),
    "energy_joules": ("J", "energy of whole devices during the training; empty where no counter could be read"),
    "energy_of": ("", "counters that were read"),
    "hardware.device_name": ("", "name of the processor or GPU"),
    "hardware.host": ("", "name of the machine"),
    "hardware.cpu_count": ("", "cores of the machine"),
    "hardware.cuda": ("", "version of CUDA that torch was built for"),
    "hardware.driver": ("", "version of the GPU's driver"),
    "hardware.gpu_memory_bytes": ("bytes", "memory of the GPU"),
    "initial_weights.label": ("", "what the initial weights had seen; random for none"),
    "initial_weights.origin": ("", "where they come from"),
    "initial_weights.revision": ("", "which version of them: commit, or hash of the pre-training's settings"),
    "initial_weights.sha256": ("", "SHA-256 of their file"),
    "input_hashes.dataset": (
        "",
        "SHA-256 of the content of dataset.h5: its table and the digests of its stamps",
    ),
    "input_hashes.catalogue": ("", "SHA-256 of catalogue.h5"),
    "input_hashes.encoder": ("", "SHA-256 of the encoder's weights that the run started from"),
    "input_hashes.image_run": ("", "SHA-256 of the weights of the image run that a fusion joins"),
    "input_hashes.metadata_run": ("", "SHA-256 of the weights of the metadata run that a fusion joins"),
    "target": ("", "what the encoder learned to tell from an image"),
    "n": ("images", "held-out images that the value was measured on"),
}
# Tables of records that are not those of runs.
TABLES: dict[str, dict[str, tuple[str, str]]] = {
    "entrants": {
        "cell": ("", "name of the entrant, a published model that was run here without training"),
        "origin": ("", "hub repository, or local"),
        "revision": ("", "commit of the repository"),
        "licence": ("", "of the weights"),
        "network": ("", "upstream's name of the network and of its encoder"),
        "n_parameters": ("", "number of parameters"),
        "n_alerts": ("alerts", "validation and test alerts scored"),
        "alerts_per_second": ("1/s", "while scoring, reading included"),
        "device": ("", "cpu or cuda"),
        "model_hashes.pytorch_model.bin": ("", "SHA-256 of the weights"),
    },
    "encoder_history": {
        "encoder": ("", "name of the encoder"),
        "architecture": COLUMNS["architecture"],
        "pretraining": COLUMNS["pretraining"],
        "epoch": ("", "1 for the first"),
        "step": ("", "optimizer steps so far"),
        "learning_rate": ("", "at the end of the epoch"),
        "train_loss": ("", "loss on the training images, which depends on what is learned from the corpus"),
        "val_loss": ("", "the same loss on held-out images"),
        "val_score": ("", "mean over targets of their metric (see encoders) on held-out images"),
        "seconds": ("s", "wall time of the epoch"),
        "images_per_second": ("1/s", "training images per second"),
        "best": ("", "1 where the weights were kept"),
    },
}
_UNITS = {"_seconds": "s", "_bytes": "bytes", "_per_second": "1/s", "_ms": "ms", "_mb": "MiB", "_joules": "J"}


def explained(column: str) -> tuple[str, str]:
    """Unit and meaning of a column that a record brought along; units stand in the names that are not listed."""
    if column in COLUMNS:
        return COLUMNS[column]
    kind, _, name = column.partition(".")
    unit = next((unit for ending, unit in _UNITS.items() if column.endswith(ending)), "")
    if kind == "versions":
        return "", f"version of {name}"
    if kind == "settings":
        return unit, f"setting {name} of the run; its unit and range stand in workflow/schemas/config.schema.yaml"
    return unit, f"`{column}` as in the record it was read from"
