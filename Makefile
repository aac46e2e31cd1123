# Each target installs what it needs first; where nothing is missing that takes no time.

BIN := .venv/bin
MAKEFLAGS += --no-print-directory

# $(call step,name,command): one line on success, the command's whole output on failure.
define step
@printf '%-30s' '$(1)'; if output=$$($(2) 2>&1); then echo ok; else echo FAILED; printf '%s\n' "$$output"; exit 1; fi
endef

.PHONY: help install demo test check bench up clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 16

install: ## install the Debian packages and the virtual environment (does nothing when they are there)
	@deploy/install.sh --dev

demo: install ## hand a call over in each mode, with real SIP phones and real audio
	@$(BIN)/handoff demo

test: install ## all tests, those on the real daemons included
	@$(BIN)/pytest --cov

# Each generated file has a line of its own at the end, `generated: ...`, which fails when it is not up to date.
check: install ## lint, types, import rules, generated files
	$(call step,ruff check,$(BIN)/ruff check)
	$(call step,ruff format,$(BIN)/ruff format --check)
	$(call step,mypy,$(BIN)/mypy)
	$(call step,mypy: scripts,$(BIN)/mypy deploy/kamailio/*.py)
	$(call step,import rules,$(BIN)/lint-imports)
	$(call step,shellcheck,shellcheck deploy/install.sh deploy/dev_ca.sh deploy/systemd/handoff.sh deploy/test_phone.sh .ci/run)
	$(call step,generated: KSR stubs,$(BIN)/python deploy/kamailio/generate_stubs.py --check)
	$(call step,generated: state diagram,$(BIN)/python -m routing.diagram routing/README.md --check)

bench: install ## measure: CPU, latency, gaps, throughput
	@$(BIN)/python -m tests.bench

up: install ## run the whole stack in the foreground; Ctrl-C ends it
	@$(BIN)/handoff up

clean: ## remove caches and what runs left behind; .venv stays
	@rm -rf build run .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find cli kemi routing rtpengine tests deploy -name __pycache__ -type d -prune -exec rm -rf {} +
