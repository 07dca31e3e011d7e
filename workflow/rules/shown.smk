# What the report stands on besides runs, its templates, facts that no run knows, and captions for Snakemake's own.


def templates(*names):
    """Files that the texts of the report are made with, so that an edited one is noticed."""
    return [f"{PACKAGE}/report/{name}" for name in names]


PAGE_FILES = templates(
    "base.html.j2",
    "macros.html.j2",
    "page.html.j2",
    "page.css",
    "vendor/sortable.min.js",
    "vendor/sortable.a11y.min.js",
)
# Where to find what is needed to repeat the study; cards, checklist and page say it.
FACTS = {
    "code": "Snakefile and workflow/ of this repository, at the revision in the run records",
    "dependencies": "exact versions in envs/requirements.txt and envs/study.yaml",
    "commands": f"README.md; this study: snakemake --config study={config['study']}",
    "licence": "MIT (LICENSE), for the code and for the weights that it trains",
}


def wanted(paths):
    """What the tables stand on: all of these files, or in a partial report those that exist."""
    return [path for path in paths if Path(path).exists()] if PARTIAL else list(paths)


def encoder_scores(wildcards):
    """Own validation scores of the encoders that were trained here, and that runs or other encoders start from."""
    needed = encoders_needed(GRID, SETTINGS["pretraining"])
    names = ["-".join(encoder) for encoder in needed if encoder[1] in TRAINED]
    return wanted(f"{FOLDER}/encoders/{name}/scores.csv" for name in names)


def finished_entrants(wildcards):
    """Predictions of the published models that are entered."""
    return wanted(f"{FOLDER}/entrants/{name}/predictions.h5" for name in SETTINGS["entrants"])


# Tables that Snakemake's own report carries; the long ones stay in the results.
SHOWN_TABLES = (
    "performance",
    "differences",
    "efficiency",
    "multiplier",
    "policies",
    "claims",
    "timing",
    "training_cost",
    "missing",
    "data_dictionary",
)


def caption_of(wildcards, output):
    """What was written about a figure beside it."""
    return json.loads(Path(output[0], "captions.json").read_text())["figures"][wildcards.figure]


def figure_labels(wildcards, output):
    """What Snakemake's own report lists a figure by."""
    return {"figure": caption_of(wildcards, output)["title"]}


def figure_section(wildcards, output):
    """Section of the page that a figure belongs to."""
    return caption_of(wildcards, output)["section"].capitalize()


def shown_figures(folder):
    """A folder of figures, each with its own title and caption in Snakemake's own report."""
    return report(
        directory(folder),
        patterns=[r"{figure,[^/]+}.png"],  # not those below column/
        caption="../report/figures.rst",
        category=figure_section,
        labels=figure_labels,
    )


def shown_tables(folder):
    """The folder of tables, the short ones marked for Snakemake's own report."""
    return report(
        directory(folder),
        patterns=[f"{{table,{'|'.join(SHOWN_TABLES)}}}.csv"],
        caption="../report/tables.rst",
        category="Tables",
        labels={"table": "{table}"},
    )
