# A report before all runs are there (--config partial=true): nothing is trained, so no rule of training is defined.


localrules:
    restore,


rule restore:
    """Put a run back into its place that Snakemake removed with the outputs of a job that failed."""
    input:
        multiext("<study>/checkpoints/{run}/finished/", *RUN_FILES),
    output:
        multiext("<study>/runs/{run}/", *RUN_FILES),
    log:
        "<study>/logs/restore/{run}.log",
    wildcard_constraints:
        run="|".join(map(re.escape, KEPT)) or NO_NAME,
    conda:
        "../../envs/study.yaml"
    params:
        folder=subpath(output[0], parent=True),
    shell:
        "cp --force {input} {params.folder} > {log} 2>&1"
