# One run of the grid at a time. `shell:` with `exec` gives the trainer the scheduler's signals and its whole grace time.


def train_encoder(wildcards):
    """Manifest of the encoder that a run starts from, if any."""
    run = run_of(wildcards)
    return [] if run["pretraining"] == "none" else f"{encoder_folder(run)}/manifest.json"


def train_options(wildcards, input):
    """What the grid says of a run, as options of the trainer."""
    run = run_of(wildcards)
    axes = ("architecture", "pretraining", "inputs", "stamps", "labels", "fraction", "seed", "draw")
    options = [f"--{axis} {run[axis]}" for axis in axes]
    folders = {"--encoder": "encoder", "--image-run": "image", "--metadata-run": "metadata"}
    options += [f"{option} {Path(input[name]).parent}" for option, name in folders.items() if input.get(name)]
    return " ".join(options)


def checkpoints(wildcards, output):
    """Folder of the run's checkpoints: no output, since Snakemake deletes the outputs of a job that fails."""
    return str(Path(output[0]).parent).replace("/runs/", "/checkpoints/", 1)


rule train:
    """Train one image, metadata or joint network."""
    input:
        dataset="<study>/dataset.h5",
        catalogue="<study>/catalogue.h5",
        encoder=train_encoder,
    output:
        multiext("<study>/runs/{cell}/f{fraction}/s{seed}/", *RUN_FILES),
    log:
        "<study>/logs/train/{cell}/f{fraction}/s{seed}.log",
    conda:
        "../../envs/study.yaml"
    threads: 1
    params:
        options=train_options,
        training=lambda wildcards: recipe_of(run_of(wildcards)),
        models=canonical(SETTINGS["models"]),
        checkpoints=checkpoints,
        folder=subpath(output[0], parent=True),
        code=TRAIN_CODE,
    shell:
        "exec python -m alertgrid train --dataset {input.dataset} --catalogue {input.catalogue} {params.options}"
        " --training {params.training:q} --models {params.models:q} --checkpoints {params.checkpoints}"
        " --output {params.folder} --threads {threads} > {log} 2>&1"


use rule train as fuse with:
    input:
        dataset="<study>/dataset.h5",
        catalogue="<study>/catalogue.h5",
        image="<study>/runs/{image}-image{stamps}/f{fraction}/s{seed}/weights.safetensors",
        metadata=f"<study>/runs/{METADATA_CELL}/f{{fraction}}/s{{seed}}/weights.safetensors",
    output:
        multiext("<study>/runs/{image}-fusion{stamps}/f{fraction}/s{seed}/", *RUN_FILES),
    log:
        "<study>/logs/train/{image}-fusion{stamps}/f{fraction}/s{seed}.log",
    params:
        options=train_options,
        training=lambda wildcards: recipe_of(run_of(wildcards)),
        models=canonical(SETTINGS["models"]),
        checkpoints=checkpoints,
        folder=subpath(output[0], parent=True),
        code=TRAIN_CODE,
