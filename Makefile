# What one can do here. `make help` lists it.

CARGO ?= cargo
SEEDS ?= 10000
KILLS ?= 300
PORT  ?= 8080
MINUTES ?= 1
COUNT ?= 400

.PHONY: help run test lint bench merges sim torture fuzz contract openapi fmt

help:            ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## */\t/' | expand -t 12

run:             ## build the server and start it on http://127.0.0.1:$(PORT), data in ./govc-data
	$(CARGO) run --release --bin govc -- serve --listen 127.0.0.1:$(PORT)

test: lint       ## everything: lints, unit tests, agreement with git, the real server, short sim and torture
	$(CARGO) build --workspace --bins
	$(CARGO) test --workspace --no-fail-fast

lint:            ## formatting and clippy, warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

bench:           ## the table of ratios beside git, in one run
	@command -v apache2 >/dev/null || { apt-get update -qq && apt-get install -y -qq apache2; } \
		|| echo "apache2 is not here: pushes are measured without their peer"
	@command -v rg >/dev/null || { apt-get update -qq && apt-get install -y -qq ripgrep; } \
		|| echo "ripgrep is not here: searches are held against git grep alone"
	$(CARGO) build --release --workspace --bins
	$(CARGO) run --release -p govc-bench

merges:          ## the merges of a real repository again, held against git: REPO=/path/to/repo.git COUNT=400
	GOVC_BENCH_REPO=$(REPO) GOVC_BENCH_MERGES=$(COUNT) $(CARGO) run --release -p govc-bench merge

sim:             ## power loss on the simulated disk: SEEDS=10000, or SEED=4711 for one
	GOVC_SIM_SEEDS=$(SEEDS) GOVC_SIM_SEED=$(SEED) $(CARGO) test --workspace --test sim -- --nocapture
	GOVC_SIM_GROUPS=$(SEEDS) GOVC_SIM_SEED=$(SEED) $(CARGO) test --workspace --test groups -- --nocapture

torture:         ## kill -9 in the middle of everything: KILLS=300
	$(CARGO) build --release --bin govc
	GOVC_KILLS=$(KILLS) GOVC_BIN=$(CURDIR)/target/release/govc \
		$(CARGO) test --workspace --test torture -- --nocapture

fuzz:            ## libFuzzer on every parser: MINUTES=1 for each, TARGET=pack for one (PLANT=1: is a planted bug found? KEEP=1: keep what reaches more)
	MINUTES=$(MINUTES) TARGET=$(TARGET) PLANT=$(PLANT) KEEP=$(KEEP) fuzz/run.sh

contract:        ## the server against its own document for a while: MINUTES=1 for each random phase, SEED=7 for another run
	GOVC_CONTRACT_MINUTES=$(MINUTES) GOVC_CONTRACT_SEED=$(SEED) $(CARGO) test --workspace --test contract

openapi:         ## write client/openapi.json anew, after the API was changed on purpose
	GOVC_WRITE_OPENAPI=1 $(CARGO) test --workspace --test rest openapi::the_document

fmt:             ## format the code
	$(CARGO) fmt --all
