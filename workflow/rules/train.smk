# One run of the grid at a time.


rule train:
    """Train one image, metadata or joint network."""
    input:
        dataset="<study>/dataset.h5",
        catalogue="<study>/catalogue.h5",
        encoder=lambda wildcards: train_inputs([run_of(wildcards)]),
    output:
        multiext("<study>/runs/{cell}/f{fraction}/s{seed}/", *RUN_FILES),
    log:
        "<study>/logs/train/{cell}/f{fraction}/s{seed}.log",
    conda:
        "../../envs/study.yaml"
    threads: 1
    resources:
        machine="",
    params:
        options=lambda wildcards: train_options([run_of(wildcards)]),
        training=lambda wildcards: recipe_of(run_of(wildcards)),
        models=lambda wildcards: models_of(run_of(wildcards)),
        code=TRAIN_CODE,
    shell:
        TRAIN


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
