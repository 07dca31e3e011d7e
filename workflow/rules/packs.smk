# One job trains several runs of a cell over the same data (config key packing): fewer starts, fewer places in a queue.


for pack, runs in PACKS.items():

    rule:
        name:
            pack
        input:
            dataset="<study>/dataset.h5",
            catalogue="<study>/catalogue.h5",
            starts=train_inputs(runs),
        output:
            run_files(runs),
        log:
            f"<study>/logs/train/{pack}.log",
        conda:
            "../../envs/study.yaml"
        threads: 1
        resources:
            machine="",
        params:
            options=train_options(runs),
            training=recipe_of(runs[0]),
            models=models_of(runs[0]),
            code=TRAIN_CODE,
        shell:
            TRAIN
