# summitctl: the everyday commands. `make demo` and `make test` work on a bare Debian machine; see .ci/setup.

# dev or release. The dev profile optimises what carries bytes, and builds in a fraction of the time.
PROFILE ?= dev
# What `make demo` adds to the command line: who types `make demo` agrees to servers on this machine's loopback.
ARGS ?= --yes
# The live tests start real servers and often wait for them: three at a time keep two cores busy.
RUST_TEST_THREADS ?= 3
export RUST_TEST_THREADS

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
BIN := $(TARGET_DIR)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))/summitctl

# What `make bench` compares, by the beginnings of their names; all of it without.
BENCH ?=

.PHONY: help setup setup-demo build demo test test-all bench check-tests lint completions schemas clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install or fetch what is missing
	@.ci/setup

build: ## Build the program
	cargo build --locked --profile $(PROFILE)

setup-demo:
	@.ci/setup demo

demo: setup-demo build ## The golden path on a throw-away stack
	$(BIN) golden-path $(ARGS)

test: setup lint check-tests ## Every test of the core

check-tests:
	cargo test --locked

test-all: test ## The tests, MinIO and Garage as object stores, more migration tools, fields of a gigabyte, the documentation and the dependency policy
	SUMMITCTL_TEST_MINIO=1 SUMMITCTL_TEST_GARAGE=1 SUMMITCTL_TEST_TOOLS=1 .ci/setup
	SUMMITCTL_TEST_TOOLS=1 cargo test --locked --test live -- migrations::
	SUMMITCTL_TEST_GIGABYTE=1 cargo test --locked --test live -- the_longest_field
	SUMMITCTL_TEST_MINIO=1 SUMMITCTL_TEST_GARAGE=1 cargo test --locked --test live s3::
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps
	cargo deny --locked check

bench: setup ## Us and the tools people use now, in turn, on the same data
	.ci/bench-setup
	cargo bench --locked --bench peers -- $(BENCH)

lint: ## Formatting and lints
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

completions: build ## Write the shell completions that the repository carries
	mkdir -p completions
	$(BIN) completions bash > completions/summitctl.bash
	$(BIN) completions zsh > completions/_summitctl
	$(BIN) completions fish > completions/summitctl.fish

schemas: build ## Write the JSON schemas that the repository carries
	$(BIN) schemas docs/schemas/cli

clean: ## Remove what was built; the cache of servers stays
	cargo clean
