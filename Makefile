# The project's tasks; `make` alone lists them. They use the virtual environment that is active.
.DEFAULT_GOAL := help
.PHONY: help install check lint types test slow coverage bench wheel site leaderboard hooks

help:        ## List the tasks
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 14

install:     ## Install everything for development, at the pinned versions
	pip install -c constraints.txt -e '.[dev]'

check: lint types test ## What CI does, the fast part

lint:        ## ruff and the import layers
	ruff check . && ruff format --check . && lint-imports

types:       ## mypy, strict
	mypy

test:        ## The fast tests
	pytest -m 'not slow' -n 2 --dist worksteal

slow:        ## The slow tests
	pytest -m slow -n 2 --dist loadfile --no-loadscope-reorder

coverage:    ## Which lines no fast test reaches (twice their time before Python 3.12)
	COVERAGE_CORE=sysmon pytest -m 'not slow' -n 2 --dist worksteal --cov --cov-report= && coverage report --sort=cover

bench:       ## Measure everything in docs/performance.md and write it there (forty minutes on a quiet machine)
	pip install -c constraints.txt -e '.[bench]' && python tests/bench --write docs/performance.md

wheel:       ## Build the distribution
	python -m build

site:        ## Build the documentation as a site, in site/
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict

leaderboard: ## Compute the committed leaderboard anew
	w2s-bench run tiny --out leaderboards

hooks:       ## Run lint and types before every commit
	pre-commit install
