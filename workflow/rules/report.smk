# What is claimed: tables from the catalogue and the predictions, figures and a page from the tables.


def finished_runs(wildcards):
    """Predictions that the tables stand on: all of the grid, or with --config partial=true those that exist."""
    wanted = [f"{FOLDER}/runs/{run}/predictions.h5" for run in GRID["run"]]
    return [path for path in wanted if Path(path).exists()] if config.get("partial") else wanted


rule tabulate:
    """Metrics, intervals, differences and costs of all runs as tidy tables."""
    input:
        catalogue="<study>/catalogue.h5",
        grid="<study>/grid.csv",
        refused="<study>/refused.csv",
        runs=finished_runs,
    output:
        tables=directory("<study>/report/tables"),
    log:
        "<study>/logs/tabulate.log",
    conda:
        "../../envs/study.yaml"
    params:
        runs=f"{FOLDER}/runs",
        settings=SETTINGS["report"],
        code=code_of("tables", "metrics", "policies", "comparison", "claims", "predictions"),
    script:
        "../scripts/tabulate.py"


rule draw_figures:
    """Figures of the report, as PDF and PNG."""
    input:
        tables="<study>/report/tables",
        catalogue="<study>/catalogue.h5",
        dataset="<study>/dataset.h5",
    output:
        figures=report(
            directory("<study>/report/figures"),
            patterns=["{name}.png"],
            caption="../report/figures.rst",
            category="Figures",
            labels={"figure": "{name}"},
        ),
    log:
        "<study>/logs/draw_figures.log",
    conda:
        "../../envs/study.yaml"
    params:
        runs=f"{FOLDER}/runs",
        code=code_of("figures"),
    script:
        "../scripts/draw_figures.py"


rule write_page:
    """One static page with everything, and a card for each cell."""
    input:
        tables="<study>/report/tables",
        figures="<study>/report/figures",
    output:
        page="<study>/report/index.html",
        cards=directory("<study>/report/cards"),
    log:
        "<study>/logs/write_page.log",
    conda:
        "../../envs/study.yaml"
    params:
        study=config["study"],
        code=code_of("page", "cards"),
    script:
        "../scripts/write_page.py"


rule check_results:
    """Facts that any true result obeys."""
    input:
        tables="<study>/report/tables",
        catalogue="<study>/catalogue.h5",
        grid="<study>/grid.csv",
        tests=workflow.source_path("../../tests/results/test_results.py"),
    output:
        "<study>/report/checked.txt",
    log:
        "<study>/logs/check_results.log",
    conda:
        "../../envs/study.yaml"
    params:
        folder=FOLDER,
    shell:
        "ALERTGRID_RESULTS={params.folder} python -m pytest -p no:cacheprovider {input.tests} > {log} 2>&1"
        " && cp {log} {output}"
