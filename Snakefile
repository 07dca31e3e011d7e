# The table of contents. What is compared stands in config.yaml, where it runs in profiles/.
from snakemake.utils import min_version

min_version("9.19")


configfile: "config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/pretrain.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/report.smk"


localrules:
    all,
    write_grid,
    fetch,
    fetch_encoder,


rule all:
    """Run the study named in config.yaml and report it."""
    default_target: True
    input:
        "<study>/report/index.html",
        "<study>/report/checked.txt",
        "<study>/report/checklist.md",
