# What is claimed: tables from the catalogue and the predictions, figures and a page from the tables.


rule time_inference:
    """Measure what inference costs on the CPU and on the GPU that there may be, beside the custom CNN in the same job."""
    output:
        timing="<study>/timing/{architecture}-{inputs}.csv",
        machine="<study>/timing/{architecture}-{inputs}.json",
    log:
        "<study>/logs/time_inference/{architecture}-{inputs}.log",
    conda:
        "../../envs/study.yaml"
    threads: 1
    params:
        models=timed_models,
        sweep=SETTINGS["timing"] | {"baseline": CUSTOM_CNN},
        code=code_of("timing.measure"),
    script:
        "../scripts/time_inference.py"


rule tabulate:
    """Judge all runs: metrics, intervals, differences and costs as tidy tables."""
    input:
        catalogue="<study>/catalogue.h5",
        dataset="<study>/dataset.h5",
        refused="<study>/refused.csv",
        grid="<study>/grid.csv",
        runs=finished_runs,
        entrants=finished_entrants,
        encoders=encoder_scores,
        timing=expand("<study>/timing/{network}.csv", network=NETWORKS),
        machines=expand("<study>/timing/{network}.json", network=NETWORKS),
    output:
        shown_tables("<study>/report/tables"),
    log:
        "<study>/logs/tabulate.log",
    conda:
        "../../envs/study.yaml"
    params:
        runs=f"{FOLDER}/runs",
        settings=SETTINGS["report"],
        code=code_of("tables"),
    script:
        "../scripts/tabulate.py"


rule draw_figures:
    """Draw what the tables say, as PDF and PNG."""
    input:
        tables="<study>/report/tables",
        catalogue="<study>/catalogue.h5",
    output:
        shown_figures("<study>/report/figures/results"),
    log:
        "<study>/logs/draw_figures.log",
    conda:
        "../../envs/study.yaml"
    params:
        code=code_of("figures"),
    script:
        "../scripts/draw_figures.py"


rule draw_sheet:
    """Show alerts of every source set, as a person would look at them."""
    input:
        "<study>/dataset.h5",
    output:
        shown_figures("<study>/report/figures/sheet"),
    log:
        "<study>/logs/draw_sheet.log",
    conda:
        "../../envs/study.yaml"
    params:
        code=code_of("figures.gallery"),
    script:
        "../scripts/draw_sheet.py"


rule draw_examples:
    """Show the alerts that the best run judged surest, rightly and wrongly."""
    input:
        dataset="<study>/dataset.h5",
        tables="<study>/report/tables",
    output:
        shown_figures("<study>/report/figures/examples"),
    log:
        "<study>/logs/draw_examples.log",
    conda:
        "../../envs/study.yaml"
    params:
        runs=f"{FOLDER}/runs",
        code=code_of("figures.gallery"),
    script:
        "../scripts/draw_examples.py"


rule write_page:
    """Write the report as one static page."""
    input:
        tables="<study>/report/tables",
        figures=expand("<study>/report/figures/{part}", part=["results", "sheet", "examples"]),
        searches=searches_used,
        templates=PAGE_FILES,
    output:
        report(
            "<study>/report/index.html",
            caption="../report/page.rst",
            category="Report",
            labels={"document": "the whole report as one page"},
        ),
    log:
        "<study>/logs/write_page.log",
    conda:
        "../../envs/study.yaml"
    params:
        study=config["study"],
        about=SETTINGS["about"],
        facts=FACTS,
        code=code_of("page"),
    script:
        "../scripts/write_page.py"


rule write_cards:
    """Write a model card for each cell and a filled-in reproducibility checklist."""
    input:
        tables="<study>/report/tables",
        templates=templates("card.md.j2", "checklist.md.j2"),
    output:
        cards=directory("<study>/report/cards"),
        checklist="<study>/report/checklist.md",
    log:
        "<study>/logs/write_cards.log",
    conda:
        "../../envs/study.yaml"
    params:
        study=config["study"],
        data=SETTINGS["about"],
        facts=FACTS,
        code=code_of("cards"),
    script:
        "../scripts/write_cards.py"


rule check_results:
    """Ask the results for facts that any true result obeys."""
    input:
        tables="<study>/report/tables",
        catalogue="<study>/catalogue.h5",
        grid="<study>/grid.csv",
        tests=f"{workflow.basedir}/tests/results/test_results.py",
    output:
        "<study>/report/checked.txt",
    log:
        "<study>/logs/check_results.log",
    conda:
        "../../envs/study.yaml"
    params:
        folder=subpath(input.grid, parent=True),
        # Whether every image network must beat chance; empty means no.
        signal="yes" if SETTINGS["expect_signal"] else "",
    shell:
        "ALERTGRID_RESULTS={params.folder} ALERTGRID_EXPECT_SIGNAL={params.signal} python -m pytest -p no:cacheprovider {input.tests:q} > {log} 2>&1"
        " && cp {log} {output}"
