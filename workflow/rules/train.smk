# One run of the grid at a time. `shell:` with `exec` gives the trainer the scheduler's signals and its whole grace time.


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
        models=lambda wildcards: models_of(run_of(wildcards)),
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
        models=lambda wildcards: models_of(run_of(wildcards)),
        checkpoints=checkpoints,
        folder=subpath(output[0], parent=True),
        code=TRAIN_CODE,
