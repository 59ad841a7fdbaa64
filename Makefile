# Two commands matter: `make demo` and `make test`. Both build the environment first.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
DEMO ?= demo
# Where pip is told of a local wheel folder, uv is told too; elsewhere this is empty and harmless.
export UV_FIND_LINKS ?= $(or $(PIP_FIND_LINKS),$(shell $(PYTHON) -m pip config get global.find-links 2>/dev/null))

.PHONY: setup demo lab lint types unit nbtest browser test test-cluster test-faults notebooks bench clean

setup: $(BIN)/.stamp
$(BIN)/.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq uv
	$(BIN)/uv pip install -q --python $(BIN)/python -c constraints.txt -e '.[dev]'
	touch $@

demo: setup            ## run the notebooks on the sample project, then write the report
	rm -rf $(DEMO)
	$(BIN)/scalekit new $(DEMO)
	$(BIN)/scalekit run $(DEMO)
	$(BIN)/scalekit report $(DEMO)/support-triage

lab: setup             ## open the templates in JupyterLab
	$(BIN)/scalekit lab $(DEMO)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

unit: setup            ## everything but the notebooks and the browser
	$(BIN)/python -m pytest tests --ignore=tests/browser -n 2

browser: setup         ## widgets in a real JupyterLab; skips, saying so, without Chromium
	$(BIN)/python -m pytest tests/browser

nbtest: setup          ## strict comparison of the executed templates, on a copy as users make it
	@folder=$$(mktemp -d) && $(BIN)/scalekit new $$folder/project \
	&& SCALEKIT_KEYS=$$folder/keys SCALEKIT_PROGRESS=off $(BIN)/python -m pytest --nbval --nbval-current-env \
		--nbval-cell-timeout=180 -q -p no:cacheprovider $$folder/project; \
	status=$$?; rm -rf $$folder; exit $$status

test-cluster: setup     ## the same bytes on a Ray cluster of two nodes; Ray Train and torchrun alike
	$(BIN)/uv pip install -q --python $(BIN)/python -c constraints.txt -e '.[cluster]'
	$(BIN)/python -m pytest tests/test_cluster.py tests/govern/test_ray.py

test-faults: setup      ## faults planted in labels, five times as many worlds: minutes
	FAULT_SEEDS=5 $(BIN)/python -m pytest tests/evaluate/test_planted_faults_in_labels.py

test: lint types unit browser nbtest

notebooks: setup       ## execute the templates again and write them back in normal form
	$(BIN)/python tools/refresh_notebooks.py

bench: setup           ## the figures printed in the README
	for f in tests/benchmarks/*.py; do $(BIN)/python $$f; done

clean:
	rm -rf $(VENV) $(DEMO)
