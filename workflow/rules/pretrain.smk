# Encoders before they see an alert: trained here on a corpus of images, or fetched from a hub.


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
        models=pretraining_models,
        checkpoints=f"{FOLDER}/checkpoints/encoders/{{architecture}}-{{pretraining}}",
        folder=subpath(output[0], parent=True),
        code=code_of("pretraining", "corpora", "training", "models", "encoders", "weights", "checkpoints"),
    shell:
        "exec python -m alertgrid pretrain {params.options} --corpus {params.corpus:q} --training {params.training:q}"
        " --models {params.models:q} --checkpoints {params.checkpoints} --output {params.folder}"
        " --threads {threads} --budget-seconds $(({resources.runtime} * 60)) --requeue > {log} 2>&1"


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
