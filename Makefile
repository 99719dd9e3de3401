.DEFAULT_GOAL := help
.PHONY: help check test prove lock

help: ## Show what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

check: ## Format, lint, types, arrows, templates, shell
	scripts/check

test: ## Set up what the tests need and run all of them
	scripts/test.sh

prove: ## List the claims that can be re-measured
	scripts/prove

lock: ## Remake requirements/*.txt from pyproject.toml
	scripts/lock
