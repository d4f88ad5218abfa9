# `make` alone lists the targets. What a target needs and this machine lacks (a
# C compiler, curl, a Docker Engine) is installed with apt-get, as root or sudo.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run test test-faults bench bench-fleet build web dev test-web journeys screenshots lint generate verify verify-files clean

# sudo shortens the PATH; Go's usual place stays on it.
export PATH := $(PATH):/usr/local/go/bin
# The version is ours (see build). Go's own stamp fails in a tree without .git,
# or in one that belongs to somebody else.
export GOFLAGS := $(strip $(GOFLAGS) -buildvcs=false)

# make run: where the state is, where the panel and the agent listen.
DATA ?= ./data
LISTEN ?= 0.0.0.0:8080
AGENT_LISTEN ?= 127.0.0.1:8443
BIN ?= bin
# make test, make bench: which packages; more flags for go test; which benchmarks.
PKG ?= ./...
TEST_FLAGS ?=
TEST_TIMEOUT ?= 30m
BENCH ?= .
# make test-faults: how long, and which plan; none draws one.
MINUTES ?= 10
SEED ?=
# make bench-fleet: how many nodes there are in the end.
NODES ?= 1000
export DATA LISTEN AGENT_LISTEN BIN PKG TEST_FLAGS TEST_TIMEOUT BENCH MINUTES SEED

GOLANGCI_VERSION := v2.15.0
GOLANGCI := .cache/bin/golangci-lint-$(GOLANGCI_VERSION)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build all, start a controller and a local agent, say how to use them (DATA=, LISTEN=, AGENT_LISTEN=)
	@deploy/run.sh

test: ## lint, verify, every test with the race detector against a real Docker Engine, and the journeys in Chromium (PKG= runs those packages' tests alone, TEST_FLAGS=)
	@deploy/test.sh test

test-faults: ## three nodes, a controller, and everything that can go wrong with them, for MINUTES=10 (SEED= repeats a run)
	@deploy/test.sh faults

bench: build ## the figures that Berth is measured by, against a real Docker Engine (PKG=, BENCH=)
	@deploy/test.sh bench

bench-fleet: build ## one controller with 1,000 agents of 100 instances each; a quarter of an hour (NODES=)
	@BERTH_TEST_BIN='$(CURDIR)/bin' BERTH_TEST_FLEET_NODES=$(NODES) go test -run '^$$' -bench Fleet -benchtime 1x -count=1 -timeout 60m ./controller/e2e

build: web ## bin/berth-controller, with the panel and the agents for amd64 and arm64 inside, and bin/berth-agent
	@deploy/need.sh go compiler
	@mkdir -p bin
	@version=$$(git -c safe.directory='$(CURDIR)' describe --tags --always --dirty 2>/dev/null || echo dev); \
	flags="-s -w -X github.com/berth-panel/berth/shared/build.Version=$$version"; \
	echo "building bin/berth-controller and bin/berth-agent, version $$version"; \
	deploy/agents.sh "$$version" "$$flags" && \
	CGO_ENABLED=1 go build -trimpath -ldflags "$$flags" -o bin/berth-controller ./controller

web: ## the panel, into web/dist/app
	@deploy/web.sh build

dev: ## the panel's pages as you write them; a controller runs beside it (BERTH_CONTROLLER=http://127.0.0.1:8080)
	@deploy/web.sh dev

test-web: ## the panel's linter, types and tests alone
	@deploy/web.sh lint types verify test

journeys: build ## what people do in the panel, in Chromium, against a real controller, agent and Docker Engine
	@deploy/test.sh journeys

screenshots: build ## every page of the panel, light and dark, wide and narrow, into docs/screenshots
	@deploy/test.sh screenshots

lint: $(GOLANGCI) ## the linters of .golangci.yml
	@deploy/need.sh go compiler
	@$(GOLANGCI) run ./...

$(GOLANGCI):
	@deploy/need.sh go
	@echo "building golangci-lint $(GOLANGCI_VERSION)"
	@mkdir -p .cache/bin
	@GOFLAGS= CGO_ENABLED=0 GOBIN='$(CURDIR)/.cache/bin' go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	@mv .cache/bin/golangci-lint $@

generate: ## write the generated files anew: docs/openapi.json, web/src/api/schema.ts
	@deploy/need.sh go compiler
	@mkdir -p docs
	go generate ./...
	go test -count=1 ./controller/app -run TestOpenAPI -update
	deploy/web.sh generate

verify: verify-files ## the house's rules: imports and layout, OpenAPI document, routes, wire, migrations' checksums, go.mod
	@deploy/need.sh compiler
	go test -count=1 ./shared/... ./migrations/... ./controller/store
	go test -count=1 -run 'OpenAPI|Parity|Route' ./controller/app
	deploy/web.sh verify

verify-files:
	@deploy/need.sh go
	@go mod tidy -diff || { echo "go.mod or go.sum is not tidy: run 'go mod tidy'" >&2; exit 1; }

clean: ## remove what was built and what tests left behind; the state of make run stays
	@deploy/engine.sh clean --state .cache/engine
	rm -f controller/release/agents/release controller/release/agents/*.gz controller/release/agents/*.part
	rm -rf web/dist/app web/node_modules
	rm -rf bin .cache || sudo rm -rf .cache # tests that ran through sudo cached as root
