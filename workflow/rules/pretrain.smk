# Weights from elsewhere: encoders trained here on a corpus of images, or fetched from a hub; published whole models.


PRETRAIN = (
    "exec python -m alertgrid pretrain {params.options} --corpus {params.corpus:q} --training {params.training:q}"
    " --models {params.models:q} --checkpoints {params.checkpoints} --output {params.folder} --code {params.code}"
    " --threads {threads} --budget-seconds $(({resources.runtime} * 60)) --requeue"
    " --machine {resources.machine} --console 3 3>&1 > {log} 2>&1"
)


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
        code=code_of("sources.simulation.corpus"),
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
    resources:
        machine="",
    params:
        options=pretrain_options,
        corpus=corpus_of,
        training=recipe_of_pretraining,
        models=pretraining_models,
        checkpoints=f"{FOLDER}/checkpoints/encoders/{{architecture}}-{{pretraining}}",
        folder=subpath(output[0], parent=True),
        code=code_of("pretraining.command"),
    shell:
        PRETRAIN


rule fetch_encoder:
    """Download published weights at a pinned revision; fetch rules alone need the internet."""
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
        pins=SETTINGS["pins"],  # no output, which Snakemake would delete before a rerun
        code=code_of("weights.hub"),
    script:
        "../scripts/fetch_encoder.py"


rule import_encoder:
    """Take over local weights, if they are those of this encoder."""
    input:
        lambda wildcards: weight_files(local_weights(wildcards)),
    output:
        multiext("<study>/encoders/{architecture}-{pretraining}/", *ENCODER_FILES),
    log:
        "<study>/logs/import_encoder/{architecture}-{pretraining}.log",
    wildcard_constraints:
        pretraining="|".join(LOCAL) or NO_NAME,
    conda:
        "../../envs/study.yaml"
    params:
        folder=subpath(output[0], parent=True),
        path=local_weights,
        facts=lambda wildcards: {
            key: value
            for key, value in SETTINGS["pretraining"][wildcards.pretraining].items()
            if key in ("trained_on", "licence", "normalisation")
        },
        code=code_of("weights.local", "encoders"),
    script:
        "../scripts/import_encoder.py"


rule fetch_entrant:
    """Download a published model at a pinned revision."""
    output:
        multiext("<study>/entrants/{entrant}/model/", *ENTRANT_FILES, "manifest.json"),
    log:
        "<study>/logs/fetch_entrant/{entrant}.log",
    wildcard_constraints:
        entrant="|".join(FETCHED_ENTRANTS) or NO_NAME,
    conda:
        "../../envs/study.yaml"
    params:
        folder=subpath(output[0], parent=True),
        source=lambda wildcards: SETTINGS["entrants"][wildcards.entrant],
        pins=SETTINGS["pins"],
        code=code_of("weights.hub"),
    script:
        "../scripts/fetch_entrant.py"


rule predict_entrant:
    """Score the study's alerts with a published model; nothing is trained."""
    input:
        model=entrant_files,
        dataset="<study>/dataset.h5",
        catalogue="<study>/catalogue.h5",
    output:
        multiext("<study>/entrants/{entrant}/", "predictions.h5", "run.json"),
    log:
        "<study>/logs/predict_entrant/{entrant}.log",
    conda:
        "../../envs/study.yaml"
    threads: 1
    params:
        model=lambda wildcards, input: str(Path(input.model[0]).parent),
        folder=subpath(output[0], parent=True),
        code=code_of("entrants"),
    script:
        "../scripts/predict_entrant.py"


rule fetch:
    """Download everything that the study needs from a hub; to be run once, on a node with internet."""
    input:
        lambda wildcards: [
            f"<study>/encoders/{architecture}-{name}/manifest.json"
            for architecture, name in encoders_needed(GRID, SETTINGS["pretraining"])
            if name in FETCHED
        ],
        expand("<study>/entrants/{entrant}/model/manifest.json", entrant=FETCHED_ENTRANTS),
