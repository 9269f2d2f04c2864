# `make demo` shows what this is; `make test` checks everything. The rest is listed by `make help`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
PROMPT ?= Explain in two sentences why the sky is blue.
DIGEST := sha256:b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

venv := $(CURDIR)/.venv
models := $(CURDIR)/.models
# Once, however deep this make is in others: what builds PyO3 builds it again when the path changes.
export PATH := $(if $(filter $(venv)/bin:%,$(PATH)),$(PATH),$(venv)/bin:$(PATH))
export STRONGROOM_INSTRUCTION_SETS ?= avx2
# Where every build looks for libclang: cargo compiles llama.cpp again when the path changes.
export LIBCLANG_PATH := $(CURDIR)/target/worker/libclang
export BINDGEN_EXTRA_CLANG_ARGS = -isystem $(shell c++ -print-file-name=include 2>/dev/null)
unexport CARGO_TARGET_DIR RUSTFLAGS STRONGROOM_WORKER VIRTUAL_ENV

# Everything that links llama.cpp is built with these flags, in one target directory, so that
# llama.cpp is compiled once.
worker_config := --config rust/worker/instruction-sets/avx2.toml
worker_flags := --locked --profile worker
worker_crates := -p strongroom-engine -p strongroom-worker
host_flags := --locked
# What cargo doesn't bring and PyPI doesn't have; compiled into .venv where the machine has none.
install_deny := cargo deny --version >/dev/null 2>&1 || cargo install --quiet --locked --root $(venv) cargo-deny@0.20.2
install_nextest := cargo nextest --version >/dev/null 2>&1 || cargo install --quiet --locked --root $(venv) cargo-nextest@0.9.151
# Python's tests share the cores: one process each and one more, since many wait for a child, of at most four; a
# router of theirs computes on one.
side_by_side = --numprocesses $(shell expr $$(nproc) + 1) --maxprocesses 4 --dist worksteal
export STRONGROOM_WORKER_EXECUTABLE := $(CURDIR)/target/worker/avx2/x86_64-unknown-linux-gnu/worker/strongroom-worker

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)$$/\1\t\2/p' Makefile | expand -t 12

.PHONY: prerequisites
prerequisites:
	@missing=""; \
	for tool in git c++ cargo rustc $(PYTHON); do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	if command -v $(PYTHON) >/dev/null; then \
	    $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || missing="$$missing Python>=3.11"; \
	    $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || missing="$$missing python3-venv"; \
	fi; \
	if [ -n "$$missing" ]; then echo "missing:$$missing (README.md names the packages)" >&2; exit 1; fi

$(venv)/.installed: requirements.txt | prerequisites
	@echo "Creating .venv and installing the tools into it"
	@test -x $(venv)/bin/python || $(PYTHON) -m venv $(venv)
	@$(venv)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.txt
	@touch $@

.PHONY: venv
venv: $(venv)/.installed ## Create .venv with every tool, from PyPI

$(LIBCLANG_PATH)/libclang.so: | $(venv)/.installed
	@mkdir -p $(@D) && ln -sf $(venv)/lib/python3*/site-packages/clang/native/libclang.so $@

# The wheel holds `_core`, the Python package and the worker; installing it is what `pip install` does.
package_sources := $(shell find rust python -type f \( -name '*.rs' -o -name '*.toml' -o -name '*.py' -o -name '*.pyi' -o -name '*.typed' \) -not -path '*/fuzz/*' -not -path '*/tests/*' -not -path '*/specimen/*' 2>/dev/null)

# Changes only when the workers asked for do.
$(venv)/.instruction-sets: FORCE | $(venv)/.installed
	@echo "$(STRONGROOM_INSTRUCTION_SETS)" | cmp -s - $@ || echo "$(STRONGROOM_INSTRUCTION_SETS)" > $@
.PHONY: FORCE

$(venv)/.built: $(venv)/.instruction-sets $(package_sources) Cargo.toml Cargo.lock pyproject.toml README.md $(LIBCLANG_PATH)/libclang.so
	@echo "Building strongroom (the first time compiles llama.cpp: 4 to 8 minutes on two cores)"
	@rm -f dist/strongroom-*.whl && maturin build --release --out dist --quiet
	@$(venv)/bin/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps dist/strongroom-*.whl
	@touch $@

.PHONY: build
build: $(venv)/.built ## Build the wheel and install it into .venv

.PHONY: model
model: $(venv)/.installed ## Fetch the demonstration model and print the file's path
	@$(venv)/bin/python demo/fetch_model.py $(models)

.PHONY: demo
demo: $(venv)/.built ## Load a checked model into the sandbox and ask it PROMPT
	@model=$$($(venv)/bin/python demo/fetch_model.py $(models)); \
	echo "strongroom run $$(realpath --relative-to=. $$model) --checksum $(DIGEST)"; \
	strongroom run "$$model" "$$PROMPT" --checksum $(DIGEST)
demo: export PROMPT := $(PROMPT)

.PHONY: test
test: $(venv)/.built ## Everything: lint, types, Rust and Python tests
	@echo "Two at a time, each shown when it has ended: Python's tests, and beside them lint and the tests of Rust"
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target test-python lint-python lint-rust test-rust

.PHONY: lint lint-rust lint-python
lint: lint-rust lint-python
lint-rust: $(venv)/.built
	cargo fmt --all --check
	STRONGROOM_WORKER=skip cargo clippy $(host_flags) --features strongroom-python/panic-probe --all-targets -- -D warnings
	cargo clippy $(worker_config) $(worker_flags) $(worker_crates) --all-targets -- -D warnings
	$(install_deny)
	cargo deny --log-level error check bans licenses sources
lint-python: $(venv)/.built
	ruff check .
	ruff format --check .
	mypy python/strongroom tests benches demo
	cd $(venv) && mypy --strict -c 'import strongroom' && python -m mypy.stubtest strongroom._core

# Those with an example in their documentation: rustdoc takes its time for each crate, whether there is one or not.
documented_crates = $(addprefix -p strongroom-,$(shell grep -rlE --include='*.rs' '^ *//[/!] ```' rust/*/src | cut -d/ -f2 | sort -u))

# Many tests wait, for a child or a deadline: Rust's and Python's run side by side, so that no core does.
# What cargo compiles is not held to the two jobs of `make test`.
.PHONY: test-rust
test-rust: $(venv)/.built
	$(install_nextest)
	unset MAKEFLAGS MFLAGS; export STRONGROOM_NIST_GCM="$$($(venv)/bin/python -c 'import cryptography_vectors as v; print(v.__path__[0])')/ciphers/AES/GCM"; \
	export STRONGROOM_WORKER=skip STRONGROOM_TEST_MODEL="$$($(venv)/bin/python demo/fetch_model.py $(models))"; \
	cargo nextest run $(host_flags) && \
	cargo test $(host_flags) --doc --quiet $(documented_crates) && \
	cargo nextest run $(worker_config) --locked --cargo-profile worker $(worker_crates)

.PHONY: test-python
test-python: $(venv)/.built
	unset MAKEFLAGS MFLAGS; cargo build $(host_flags) --quiet -p strongroom-specimen -p strongroom-host --bins
	unset MAKEFLAGS MFLAGS; STRONGROOM_TEST_MODEL="$$($(venv)/bin/python demo/fetch_model.py $(models))" $(venv)/bin/python -m pytest $(side_by_side)

.PHONY: bench
bench: $(venv)/.built ## Measure against bare llama.cpp; writes benches/out/core.json, and with PUBLISH=1 the README's table
	cargo build $(worker_config) $(worker_flags) -p strongroom-engine --example bare
	$(venv)/bin/python -m benches.core "$$($(venv)/bin/python demo/fetch_model.py $(models))" $(if $(PUBLISH),--readme README.md)

.PHONY: bench-streaming
bench-streaming: $(venv)/.built ## Measure what a streamed token costs this process at 16 streams; writes benches/out/streaming.json
	cargo build --quiet $(host_flags) --release -p strongroom-host --bin strongroom-worker-fake
	cargo build --quiet $(host_flags) -p strongroom-specimen --bins
	mkdir -p benches/out
	target/debug/specimen tiny benches/out/tiny.gguf
	$(venv)/bin/python -m benches.streaming target/release/strongroom-worker-fake benches/out/tiny.gguf

.PHONY: bench-trust
bench-trust: $(venv)/.built ## Measure verifying a signed directory against the hash functions and model-signing; writes benches/out/trust.json
	cargo build $(host_flags) --release --quiet -p strongroom-verify --example hashes
	$(venv)/bin/python -m benches.trust

.PHONY: bench-seal
bench-seal: $(venv)/.built ## Measure sealing and opening models against ring alone and the AWS Encryption SDK; writes benches/out/seal.json
	cargo build --quiet $(host_flags) --release -p strongroom-seal --example rates
	$(venv)/bin/python -m benches.seal

.PHONY: bench-store
bench-store: $(venv)/.built ## Measure loading an encrypted model against reading and hashing the plain one; writes benches/out/store.json
	cargo build $(host_flags) --release --quiet -p strongroom-seal --example load_sealed
	$(venv)/bin/python -m benches.store

.PHONY: bench-arena
bench-arena: $(venv)/.built ## Measure memory for secrets against ordinary memory; writes benches/out/arena.json
	cargo build --quiet $(host_flags) --release -p strongroom-memory --example allocate
	$(venv)/bin/python -m benches.arena

.PHONY: bench-signatures
bench-signatures: $(venv)/.built ## Measure what a signature adds to a load
	$(venv)/bin/python -m benches.signatures "$$($(venv)/bin/python demo/fetch_model.py $(models))"

.PHONY: bench-data
bench-data: $(venv)/.built ## Measure encrypting records against cryptography's AESGCM; writes benches/out/data.json
	$(venv)/bin/python -m benches.data

# What is measured against, in an environment of its own. llama-cpp-python is compiled, for the instruction
# sets that the worker and the other peer are compiled for.
peers := $(venv)/peers
$(peers)/.installed: benches/peers/requirements.txt | $(venv)/.installed
	@echo "Creating .venv/peers (compiles another llama.cpp: 10 to 15 minutes on two cores)"
	@test -x $(peers)/bin/python || $(PYTHON) -m venv $(peers)
	@CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_SSE42=ON -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON -DLLAVA_BUILD=OFF" \
	    $(peers)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

.PHONY: bench-peers
bench-peers: $(venv)/.built $(peers)/.installed ## Measure many requests at once against bare llama.cpp, xllamacpp and llama-cpp-python, STREAMS=1,8 ROUNDS=7 MODELS=smollm2,gemma3 CASES=short-distinct; writes benches/out/peers.json and .png, and with PUBLISH=1 the README's table
	cargo build $(worker_config) $(worker_flags) -p strongroom-engine --example batch_loop
	$(venv)/bin/python -m benches.peers $(models) --peers $(peers)/bin/python \
	    $(foreach option,STREAMS ROUNDS TOKENS THREADS MODELS CASES INSTRUCTION_SET,$(if $($(option)),--$(shell echo $(option) | tr A-Z_ a-z-) $($(option)))) $(if $(PUBLISH),--readme README.md)

.PHONY: bench-embeddings
bench-embeddings: $(venv)/.built $(peers)/.installed ## Measure vectors of a thousand short texts against xllamacpp and llama-cpp-python; writes benches/out/embeddings.json, and with PUBLISH=1 the README's table
	$(venv)/bin/python -m benches.embeddings "$$($(venv)/bin/python demo/fetch_model.py $(models))" --peers $(peers)/bin/python $(if $(PUBLISH),--readme README.md)

.PHONY: bench-latency
bench-latency: $(venv)/.built ## Measure what a request waits for, and what its time tells other tenants; writes benches/out/latency.json, and with PUBLISH=1 the README's table
	$(venv)/bin/python -m benches.latency "$$($(venv)/bin/python demo/fetch_model.py $(models))" $(if $(PUBLISH),--readme README.md)

.PHONY: bench-protections
bench-protections: $(venv)/.built ## Measure what each protection costs; writes benches/out/protections.json, and with PUBLISH=1 the README's table
	$(venv)/bin/python -m benches.protections "$$($(venv)/bin/python demo/fetch_model.py $(models))" $(if $(PUBLISH),--readme README.md)

.PHONY: soak
soak: $(venv)/.built ## Ask everything at once for SECONDS=600, with SEED and MODEL, and account for every request; writes benches/out/soak.json
	cargo build --quiet $(host_flags) -p strongroom-specimen --bins
	mkdir -p benches/out
	target/debug/specimen tiny benches/out/tiny.gguf
	$(venv)/bin/python -m benches.soak "$(or $(MODEL),benches/out/tiny.gguf)" --seconds $(or $(SECONDS),600) $(if $(SEED),--seed $(SEED))

# glibc 2.34 is what the distributions have whose kernels have Landlock, and what is asked of the module
# is checked against: on a system whose linker binds it to newer symbols the build fails.
manylinux := manylinux_2_34
published := dist/published

.PHONY: wheel
wheel: $(LIBCLANG_PATH)/libclang.so ## The wheel for publishing, with every instruction set
	rm -rf $(published)
	STRONGROOM_INSTRUCTION_SETS="avx2 avx512" \
	    maturin build --release --locked --compatibility $(manylinux) --out $(published)

.PHONY: wheel-check
wheel-check: $(venv)/.built ## Install what `make wheel` built where there is Python alone, and ask it by every worker
	@ls $(published)/strongroom-*.whl >/dev/null 2>&1 || { echo "missing: a wheel (make wheel)" >&2; exit 1; }
	$(venv)/bin/python -m tests.wheel.check $(published)/strongroom-*.whl \
	    "$$($(venv)/bin/python demo/fetch_model.py $(models))"

.PHONY: bench-instruction-sets
bench-instruction-sets: $(venv)/.built ## Measure the AVX-512 worker against the AVX2 one; needs STRONGROOM_INSTRUCTION_SETS="avx2 avx512"; writes benches/out/instruction_sets.json
	$(venv)/bin/python -m benches.instruction_sets "$$($(venv)/bin/python demo/fetch_model.py $(models))" $(MODELS)

.PHONY: fuzz
fuzz: $(venv)/.built ## Fuzz the parsers of untrusted bytes, SECONDS_EACH=60, and the worker with FLIPS=2000
	$(install_nextest)
	$(MAKE) -C rust/fuzz
	seed=$${SEED:-$$RANDOM}; echo "flipped with SEED=$$seed"; \
	STRONGROOM_FLIPS=$${FLIPS:-2000} STRONGROOM_SEED=$$seed \
	    cargo nextest run $(worker_config) --locked --cargo-profile worker -p strongroom-worker flips

# Wiped stacks lie near to those of threads: a pointer that moves by more than 64 KiB went to another one. On
# one inside another valgrind can't unwind to the names in the suppressions, so that test is left out. What is
# optimized has no such names at all.
valgrind := valgrind --quiet --error-exitcode=9 --leak-check=full --show-leak-kinds=definite \
    --errors-for-leak-kinds=definite --max-stackframe=65536 \
    --suppressions=$(CURDIR)/rust/memory/tests/valgrind/wiped_stack.supp

.PHONY: memcheck
memcheck: ## rust/memory under valgrind and gdb (Debian's packages): its unsafe code, constant time, and a dump
	@for tool in valgrind gcore; do command -v $$tool >/dev/null || { echo "missing: $$tool" >&2; exit 1; }; done
	CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="$(valgrind)" CARGO_PROFILE_DEV_OPT_LEVEL=0 \
	    cargo test $(host_flags) --target-dir target/memcheck -p strongroom-memory --lib --test image --test arena -- \
	    --skip stack::tests::it_nests
	cargo test $(host_flags) --release -p strongroom-memory --test constant_time -- --ignored --skip compares
	cargo test $(host_flags) -p strongroom-memory --test traces -- --ignored --skip does

.PHONY: audit
audit: $(venv)/.installed ## Advisories against the locked dependencies (needs their databases)
	$(install_deny)
	cargo deny check advisories

.PHONY: format
format: $(venv)/.installed ## Format Rust and Python
	cargo fmt --all
	ruff format .
	ruff check --fix .

.PHONY: clean
clean: ## Remove what was built, but not .venv and .models
	rm -rf target dist

.PHONY: requirements
requirements: $(venv)/.installed ## Lock each requirements.in into the requirements.txt beside it
	$(venv)/bin/python -m venv .venv/lock && .venv/lock/bin/pip install --quiet pip-tools
	.venv/lock/bin/pip-compile --quiet --upgrade --generate-hashes --no-strip-extras --no-header \
	    --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --allow-unsafe -o requirements.txt requirements.in
	.venv/lock/bin/pip-compile --quiet --upgrade --generate-hashes --no-strip-extras --no-header \
	    --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --allow-unsafe \
	    -o benches/peers/requirements.txt benches/peers/requirements.in
