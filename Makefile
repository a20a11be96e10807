# The main commands are `make synth` and `make test`. Each does its own set-up. `make` lists all commands.

ENVIRONMENT ?= dev

# cdktf and terraform do not check for new versions.
export CHECKPOINT_DISABLE := 1

# Without version control information in the binaries, a copy of the files builds as well as a clone.
build := go build -buildvcs=false
cdktf := .build/bin/tf node_modules/.bin/cdktf
# cdktf does not read CDKTF_OUTDIR, which sets the output folder of the program.
out := $(if $(CDKTF_OUTDIR),--output '$(CDKTF_OUTDIR)')

.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help synth explain deploy diff destroy restore run local local-down test check lint monitoring bench golden clean program need-go need-node need-npm

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo 'ENVIRONMENT=prod uses config/prod.yaml; the default is config/dev.yaml.'
	@echo 'ARGS=... adds arguments for cdktf or terraform: make deploy ARGS=--auto-approve'

synth: program ## write the Terraform JSON of ENVIRONMENT to cdktf.out
	@echo 'synthesising $(ENVIRONMENT) into $(or $(CDKTF_OUTDIR),cdktf.out) ...'
	@ENVIRONMENT='$(ENVIRONMENT)' .build/bin/platform

explain: program ## print the settings of ENVIRONMENT, their origins and a summary of the platform
	@ENVIRONMENT='$(ENVIRONMENT)' .build/bin/platform explain

diff: synth node_modules/.package-lock.json .build/bin/tf ## show what deploy would change
	@$(cdktf) diff --skip-synth --skip-provider-lock $(out) $(ARGS)

deploy: synth node_modules/.package-lock.json .build/bin/tf ## create or update ENVIRONMENT in AWS, after confirmation
	@$(cdktf) deploy --skip-synth --skip-provider-lock $(out) $(ARGS)

# Not cdktf destroy, which refuses if the stack leaves backups: see internal/teardown.
destroy: synth .build/bin/destroy ## delete ENVIRONMENT from AWS, after confirmation; keeps the keys of backups that stay
	@.build/bin/destroy '$(or $(CDKTF_OUTDIR),cdktf.out)' $(ARGS)

restore: synth .build/bin/restore ## restore a dump beside the database of ENVIRONMENT: DATABASE=new [FROM=name] [LIKE=name] [DUMP=key] [TABLE=name]
	@.build/bin/restore '$(or $(CDKTF_OUTDIR),cdktf.out)' --database '$(DATABASE)' --from '$(FROM)' --like '$(LIKE)' --dump '$(DUMP)' --table '$(TABLE)'

# The variables are in the environment: a command may have quotes of both kinds.
run: export RUN_SERVICE = $(value SERVICE)
run: export RUN_COMMAND = $(value COMMAND)
run: synth .build/bin/run ## run a task of a service of ENVIRONMENT, and print its log: SERVICE=web [COMMAND='bin/migrate']
	@.build/bin/run '$(or $(CDKTF_OUTDIR),cdktf.out)' --service "$$RUN_SERVICE" --command "$$RUN_COMMAND"

local: program node_modules/.package-lock.json .build/bin/local ## deploy ENVIRONMENT to an emulator of AWS on this machine
	@ENVIRONMENT='$(ENVIRONMENT)' .build/bin/local up

local-down: .build/bin/local ## delete the local deployment and stop the emulator
	@ENVIRONMENT='$(ENVIRONMENT)' .build/bin/local down

test: need-node node_modules/.package-lock.json .build/bin/.tools ## run all checks and tests
	@sh tools/test.sh

# The checks to run before each commit; CI runs test. -count=1: see tests in tools/test.sh.
check: need-node lint ## check format, style, language, unit tests and goldens: under two minutes, once built
	@echo 'running the unit tests (about a minute) ...'
	@unformatted=$$(find . \( -name node_modules -o -name cdktf.out -o -name '.?*' \) -prune -o -name '*.go' \
		-exec gofmt -l {} +); [ -z "$$unformatted" ] || { printf 'run gofmt -w on\n%s\n' "$$unformatted"; exit 1; }
	@go test -count=1 ./...

lint: .build/bin/.tools ## check the code's style and language, as test does
	@sh tools/words.sh
	@.build/bin/golangci-lint run ./... $(ARGS)

monitoring: .build/bin/.monitoring ## build Prometheus, Alertmanager, the CloudWatch exporter, promtool and amtool

bench: program .build/bench/node_modules/.package-lock.json ## compare the fast start with the normal one and with TypeScript (ten minutes)
	@go run -buildvcs=false ./bench $(ARGS)

golden: need-go need-node ## regenerate testdata, the schema and the tables of settings
	@echo 'rewriting testdata ...'
	@go test . ./internal/config -count=1 -update

clean: ## remove all generated files, but not the state
	rm -rf .build cdktf.out node_modules

# Go decides whether to rebuild the program. The program needs Node.js, but no npm packages.
program: need-go need-node
	@echo 'building the program (some minutes the first time) ...'
	@$(build) -o .build/bin/platform .

.build/bin/tf: $(wildcard internal/terraform/*.go internal/terraform/*.js cmd/tf/*.go) go.mod | need-go
	@$(build) -o $@ ./cmd/tf

.build/bin/destroy: $(wildcard internal/terraform/*.go internal/terraform/*.js internal/teardown/*.go cmd/destroy/*.go) go.mod | need-go
	@$(build) -o $@ ./cmd/destroy

.build/bin/restore: $(wildcard internal/teardown/*.go cmd/restore/*.go) go.mod | need-go
	@$(build) -o $@ ./cmd/restore

.build/bin/run: $(wildcard internal/teardown/*.go cmd/run/*.go) go.mod | need-go
	@$(build) -o $@ ./cmd/run

.build/bin/local: $(wildcard internal/terraform/*.go internal/terraform/*.js internal/emulator/* cmd/local/*.go) go.mod | need-go
	@$(build) -o $@ ./cmd/local

.build/bin/.tools: tools/go.mod tools/go.sum $(wildcard cmd/testcount/*.go) | need-go
	@echo 'building the tools that check the code (some minutes the first time) ...'
	@mkdir -p .build/bin
	@cd tools && $(build) -o ../.build/bin/ tool
	@$(build) -o .build/bin/ ./cmd/testcount
	@touch $@

# The end-to-end tests run the same script; Go then finds everything in its cache.
.build/bin/.monitoring: $(wildcard tools/monitoring/*) | need-go
	@echo 'building Prometheus and its companions (about eight minutes the first time) ...'
	@sh tools/monitoring/build.sh
	@touch $@

# npm writes this file last, so it is a stamp: npm runs again if the lock file is newer or npm was interrupted.
node_modules/.package-lock.json: package.json package-lock.json .npmrc | need-npm
	@echo 'installing cdktf ...'
	@npm ci
	@touch $@

# Only the benchmark needs the packages for TypeScript, so they have a separate folder.
.build/bench/node_modules/.package-lock.json: bench/package.json bench/package-lock.json bench/.npmrc | need-npm
	@echo 'installing the TypeScript packages of the benchmark (400 MB) ...'
	@mkdir -p .build/bench
	@cp bench/package.json bench/package-lock.json bench/.npmrc .build/bench/
	@cd .build/bench && npm ci
	@touch $@

# Report a missing program in one sentence, before a shell or jsii fails because of it.
need = $(if $(shell command -v $(1) 2>/dev/null),,$(error $(1) is not on PATH: install $(2)))

need-go:
	@:$(call need,go,Go 1.26 or later)

need-npm: need-node
	@:$(call need,npm,it (it comes with Node.js))

need-node:
	@:$(call need,node,Node.js 20 or later)
	@:$(if $(shell node -p 'parseInt(process.versions.node) >= 20 || ""' 2>/dev/null),,$(error node does not run or is older than version 20: install Node.js 20 or later))
