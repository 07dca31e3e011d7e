# The search of settings: one job a cell, which hands its trials to Slurm as one array or trains a few at a time itself.

TUNE = (
    "exec python -m alertgrid tune --dataset {input.dataset} --catalogue {input.catalogue} {params.options}"
    " --trial {params.trial:q} --cores {threads} --training {params.training:q} --models {params.models:q}"
    " --search {params.search} --output {params.folder} --machine {resources.machine} > {log} 2>&1"
)


rule tune:
    """Search the settings of one cell; journal and trials are no outputs, so a search that was stopped goes on."""
    input:
        dataset="<study>/dataset.h5",
        catalogue="<study>/catalogue.h5",
        encoder=lambda wildcards: encoder_manifest(searched_cell(wildcards)),
    output:
        multiext("<study>/tuning/{cell}/", *TUNING_FILES),
    log:
        "<study>/logs/tune/{cell}.log",
    conda:
        "../../envs/study.yaml"
    threads: 1
    resources:
        machine="",
    params:
        options=tune_options,
        trial=trial_resources,
        training=lambda wildcards: recipe_of(searched_cell(wildcards)),
        models=lambda wildcards: models_of(searched_cell(wildcards)),
        search=f"{FOLDER}/checkpoints/tuning/{{cell}}",
        folder=subpath(output[0], parent=True),
        code=TUNE_CODE,
    shell:
        TUNE
