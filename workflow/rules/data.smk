# Alerts in: one dataset, one catalogue with splits, one grid.


rule build_dataset:
    """Read, check and store the alerts of the study."""
    input:
        lambda wildcards: source_files(SETTINGS["data"]),
    output:
        dataset="<study>/dataset.h5",
        refused="<study>/refused.csv",
    log:
        "<study>/logs/build_dataset.log",
    conda:
        "../../envs/study.yaml"
    params:
        source=SETTINGS["data"]["source"],
        dtype=SETTINGS["data"]["dtype"],
        settings={key: value for key, value in SETTINGS["data"].items() if key not in ("source", "dtype")},
        code=code_of("dataset", f"sources.{SETTINGS['data']['source']}"),
    script:
        "../scripts/build_dataset.py"


rule split:
    """Divide the objects into train, validation and test, and rank them for training fractions."""
    input:
        "<study>/dataset.h5",
    output:
        "<study>/catalogue.h5",
    log:
        "<study>/logs/split.log",
    conda:
        "../../envs/study.yaml"
    params:
        # Alerts that no run predicts take no part in the test either.
        settings=SETTINGS["splits"] | {"variables_keep": SETTINGS["training"].get("max_alerts_per_source", 100)},
        # Looked at here, since a column of words would else be met after the last training. Snakemake compares no
        # params that are made from inputs: other scores in the report must not train everything again.
        external=lambda wildcards, input: SETTINGS["report"].get("external", []),
        code=code_of("splits", "dataset", "external"),
    script:
        "../scripts/split.py"


rule write_grid:
    """List every run of the study."""
    output:
        "<study>/grid.csv",
    log:
        "<study>/logs/write_grid.log",
    conda:
        "../../envs/study.yaml"
    params:
        grid=GRID.to_dict("list"),
    script:
        "../scripts/write_grid.py"
