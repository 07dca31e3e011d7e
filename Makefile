# The two commands of the README, and little else.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-slurm lint clean-env

demo: .venv/ready ## run the embedded study and say where its report is
	$(BIN)/snakemake
	@echo "Report: $(CURDIR)/results/demo/report/index.html"

test: .venv/ready ## lint, unit and workflow tests, coverage
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered --cov-fail-under=90

test-slurm: .venv/ready ## the study through a real Slurm on this machine (root; apt packages in README)
	$(BIN)/python -m pytest tests/slurm -m slurm

.venv/ready: envs/requirements.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; call make PYTHON=<path>" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --requirement envs/requirements.txt
	touch $@
