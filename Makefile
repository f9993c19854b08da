# A fresh machine needs make, npm and any Node.js >= 20: what else is missing is fetched into this folder.

TESTS = 'src/**/*.test.ts' 'test/*.test.ts' 'test/{attacks,faults,support}/**/*.test.ts' 'bench/**/*.test.ts'
E2E_TESTS = 'test/e2e/*.test.ts'
# Concurrency suits two cores; a file that hangs fails after the timeout instead of holding everything up.
TEST_FLAGS = --test-reporter=spec --test-concurrency=3 --test-timeout=120000
E2E_FLAGS = --test-reporter=spec --test-concurrency=3 --test-timeout=900000
# Every file with a property, and the suites that run one of the contracts which have some.
FUZZ_FILES = grep -rl --include='*.test.ts' 'prove(' src test
FUZZ_SUITES = src/catalog/sqlite.test.ts
FUZZ_FLAGS = --test-reporter=spec --test-concurrency=2 --test-timeout=3600000
FUZZ_SECONDS = 5
WITH_NODE = scripts/with-node.sh
# Every test file, and every program that one starts, would compile the same sources again.
COMPILED = NODE_COMPILE_CACHE='$(CURDIR)/test/.cache/compiled'

.DEFAULT_GOAL := help
# Quoted, since a value may have spaces.
DEPLOY = METHOD='$(METHOD)' FORCE='$(FORCE)' YES='$(YES)' DESTDIR='$(DESTDIR)' ARGS='$(ARGS)' scripts/deploy.sh

.PHONY: help install status logs upgrade uninstall destroy setup tools config start test check types lint format-check format e2e e2e-tools faults fuzz bench profile lock package clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

setup: tools ## Fetch Node.js (where the system's is too old) and the dependencies, and build what bin/registry-cache runs
	@scripts/is-built.sh || $(WITH_NODE) node scripts/build.ts

tools:
	@scripts/setup.sh

# Whoever gives up, which is 130, need not hear of an error.
config: setup ## Make or change the configuration by questions (ARGS="--help" for more)
	@bin/registry-cache config $(ARGS) || { code=$$?; [ $$code = 130 ] || exit $$code; }

start: setup ## Serve all registries on http://127.0.0.1:5000 (ARGS="--config FILE" for more)
	@exec bin/registry-cache serve $(ARGS)

install: setup ## Install it as a service: with Compose where Docker can build it, else with systemd (METHOD=compose|systemd to choose)
	@$(DEPLOY) install

status: tools ## Show whether what was installed runs
	@$(DEPLOY) status

logs: tools ## Show its log (ARGS="--follow")
	@$(DEPLOY) logs

upgrade: setup ## Install what this checkout has become; what ran before comes back if the new one does not get ready
	@$(DEPLOY) upgrade

uninstall: tools ## Remove it; configuration and cached images stay
	@$(DEPLOY) uninstall

destroy: tools ## Remove it with its configuration and all cached images; asks first
	@$(DEPLOY) destroy

test: tools ## Run the tests
	@$(COMPILED) $(WITH_NODE) node --test $(TEST_FLAGS) $(TESTS)

check: tools ## Check types, lint rules and format (all three, whatever fails)
	@$(MAKE) --no-print-directory -k types lint format-check

types: tools
	@$(WITH_NODE) tsc -p .

lint: tools
	@$(WITH_NODE) oxlint --type-aware --deny-warnings

format-check: tools
	@$(WITH_NODE) oxfmt --check

format: tools ## Format the sources
	@$(WITH_NODE) oxfmt

e2e: tools ## Pull with real clients (root and Debian's docker.io, containerd, podman, skopeo, buildah, ...)
	@$(COMPILED) $(WITH_NODE) node --test $(E2E_FLAGS) $(E2E_TESTS)

e2e-tools: tools ## Build what Debian has no package of, with Go where it is installed: crane, oras, helm, BuildKit, Step-CA, ...
	@$(WITH_NODE) node test/e2e/support/build-tools.ts

faults: setup ## Prove the fault table in its long form, write test/faults/results.md (ARGS="FILE..." for some, unwritten)
	@$(WITH_NODE) node test/faults/support/run.ts $(ARGS)

fuzz: tools ## Try each property for 5 s (FUZZ_SECONDS=60 for longer, FUZZ_SEED=N for the same values again)
	@FUZZ_SECONDS=$(FUZZ_SECONDS) $(WITH_NODE) node --test $(FUZZ_FLAGS) $$($(FUZZ_FILES)) $(FUZZ_SUITES)

bench: setup ## Measure beside registry:2 and nginx (Debian's docker-registry, nginx-light, wrk, curl, skopeo; ARGS="--help")
	@$(WITH_NODE) node bench/main.ts $(ARGS)

profile: setup ## Show where the time goes in one of the rows of `make bench` (ROW="1 MiB blob, held")
	@$(WITH_NODE) node bench/main.ts --profile "$(or $(ROW),none was named: make profile ROW=...)" $(ARGS)

lock: tools ## Bring package-lock.json up to date with package.json
	@$(WITH_NODE) npm install --package-lock-only --ignore-scripts
	@$(WITH_NODE) node scripts/complete-lock.ts

package: tools ## Build the npm package
	@$(WITH_NODE) npm pack --loglevel=error

clean: ## Remove what was fetched and built; cached images stay
	rm -rf node_modules dist dist.partial.* .node .node.partial.* test/.cache
