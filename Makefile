# Everything is set up in $(VENV) on first use; it needs Python 3.10 or newer and a C++17 compiler.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SOURCES := setup.py pyproject.toml CMakeLists.txt $(shell find csrc cmake -type f)

.PHONY: demo test bench vendor-check lint format clean

demo: $(VENV)/.package
	$(BIN)/python -m neumann_tril demo

test: $(VENV)/.package $(VENV)/.tests $(VENV)/.torch_npu $(VENV)/.vllm_ascend
	$(BIN)/python -m pytest -n 2 --dist loadfile

bench: $(VENV)/.package
	$(BIN)/python benchmarks/cpu.py

# Needs a package of the vendor and LLVM 19; says what to install where they are missing.
vendor-check: $(VENV)/.numpy
	PYTHONPATH=tests $(BIN)/python -m vendor

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	git ls-files '*.h' '*.cpp' '*.hpp' '*.asc' | xargs $(BIN)/clang-format --dry-run --Werror

format: $(VENV)/.lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	git ls-files '*.h' '*.cpp' '*.hpp' '*.asc' | xargs $(BIN)/clang-format -i

clean:
	rm -rf build dist $(VENV) python/*.egg-info python/neumann_tril/*.so python/neumann_tril/acl_stand_in

$(VENV)/.numpy:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q numpy
	touch $@

$(VENV)/.torch: requirements-dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -r requirements-dev.txt
	touch $@

$(VENV)/.package: $(VENV)/.torch $(SOURCES)
	$(BIN)/pip install -q -e '.[plot]'
	touch $@

$(VENV)/.tests: $(VENV)/.torch requirements-test.txt
	$(BIN)/pip install -q -r requirements-test.txt
	touch $@

$(VENV)/.lint: $(VENV)/.package
	$(BIN)/pip install -q -e '.[lint]'
	touch $@

# torch_npu loads itself into every `import torch`, so it lives beside the environment, not in it.
# Where it has no wheel for this Python, the tests that need it are skipped.
$(VENV)/.torch_npu: $(VENV)/.torch
	-$(BIN)/pip install -q --no-deps --target build/torch_npu torch_npu==2.13.0
	touch $@

# The source alone, for its tests: pip has unpacked it when the package asks for what is not here.
$(VENV)/.vllm_ascend: $(VENV)/.torch
	rm -rf build/pip build/vllm_ascend && mkdir -p build/pip
	-TMPDIR=$(CURDIR)/build/pip $(BIN)/pip download --no-deps --no-build-isolation --no-clean \
		--no-binary :all: -d build/pip vllm-ascend==0.23.0.post1 >build/pip/log 2>&1
	-mv build/pip/pip-download-*/vllm-ascend_* build/vllm_ascend
	rm -rf build/pip
	touch $@
