# A fresh machine needs make, npm and any Node.js >= 20: what else is missing is fetched into this folder.

TESTS = 'src/**/*.test.ts' 'test/*.test.ts'
E2E_TESTS = 'test/e2e/*.test.ts'
# Concurrency suits two cores; a file that hangs fails after the timeout instead of holding everything up.
TEST_FLAGS = --test-reporter=spec --test-concurrency=3 --test-timeout=120000
E2E_FLAGS = --test-reporter=spec --test-concurrency=2 --test-timeout=900000
WITH_NODE = scripts/with-node.sh

.DEFAULT_GOAL := help
.PHONY: help setup start test check types lint format-check format e2e lock package clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

setup: ## Fetch Node.js (where the system's is too old) and the dependencies
	@scripts/setup.sh

start: setup ## Serve all registries on http://127.0.0.1:5000 (ARGS="--config FILE" for more)
	@exec bin/registry-cache serve $(ARGS)

test: setup ## Run the tests
	@$(WITH_NODE) node --test $(TEST_FLAGS) $(TESTS)

check: setup ## Check types, lint rules and format (all three, whatever fails)
	@$(MAKE) --no-print-directory -k types lint format-check

types: setup
	@$(WITH_NODE) tsc -p .

lint: setup
	@$(WITH_NODE) oxlint --type-aware --deny-warnings

format-check: setup
	@$(WITH_NODE) oxfmt --check

format: setup ## Format the sources
	@$(WITH_NODE) oxfmt

e2e: setup ## Pull with real clients (root and Debian's docker.io, containerd, podman, skopeo, buildah, ...)
	@$(WITH_NODE) node --test $(E2E_FLAGS) $(E2E_TESTS)

lock: setup ## Bring package-lock.json up to date with package.json
	@$(WITH_NODE) npm install --package-lock-only --ignore-scripts
	@$(WITH_NODE) node scripts/complete-lock.ts

package: setup ## Build the npm package
	@$(WITH_NODE) npm pack --loglevel=error

clean: ## Remove what was fetched and built; cached images stay
	rm -rf node_modules dist .node .node.partial.*
