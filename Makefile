# The two commands of the README, and little else.
PYTHON ?= python3
BIN := .venv/bin
# One thread a test process: two processes with two threads each on two cores wait for each other.
TEST := OMP_NUM_THREADS=1 PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest

.PHONY: demo test test-slurm

demo: .venv/ready ## run the embedded study and say where its report is
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/snakemake; status=$$?; \
	echo "Report: $(CURDIR)/results/demo/report/index.html"; exit $$status

test: .venv/ready ## lint, unit and workflow tests, coverage of the package
	$(TEST) -n 2 --dist loadfile --cov --cov-report=term:skip-covered --cov-fail-under=90

test-slurm: .venv/ready ## the study through a real Slurm on this machine (as root, with the packages that the README names)
	$(TEST) tests/slurm -m slurm -n 3 --dist worksteal $(OPTIONS)

.venv/ready: envs/requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ": call make PYTHON=<path>")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --requirement envs/requirements.txt
	@touch $@
