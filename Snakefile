# The table of contents. What is compared stands in config.yaml, where it runs in profiles/.
from snakemake.utils import min_version

min_version("9.19")


configfile: "config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/runs.smk"
include: "workflow/rules/searches.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/encoders.smk"
include: "workflow/rules/pretrain.smk"
include: "workflow/rules/tune.smk"
include: "workflow/rules/shown.smk"
include: "workflow/rules/report.smk"


if PARTIAL:

    include: "workflow/rules/kept.smk"

elif SETTINGS.get("packing"):

    include: "workflow/rules/packs.smk"

else:

    include: "workflow/rules/train.smk"


localrules:
    all,
    report,
    figures,
    fetch,
    fetch_encoder,
    fetch_entrant,
    write_grid,


rule all:
    """Run the study named in config.yaml, report it and check its results."""
    default_target: True
    input:
        "<study>/report/index.html",
        "<study>/report/checklist.md",
        "<study>/report/checked.txt",


rule report:
    """Write the report alone; with --config partial=true from the runs that have finished."""
    input:
        "<study>/report/index.html",
        "<study>/report/checklist.md",


rule figures:
    """Draw the figures alone."""
    input:
        "<study>/report/figures/results",
        "<study>/report/figures/sheet",
        "<study>/report/figures/examples",


onstart:
    begin_study(log)


onerror:
    print(what_failed(), file=sys.stderr)
