# Two commands: `make demo` makes a film, `make test` runs every test. Both install what is missing and share all builds.

SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: help demo test lint audit bench build plugins python setup clean

CARGO  ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
HOST   := $(TARGET)/release/travel-host
WASM   := $(TARGET)/wasm32-wasip2/release
OUT    := out
# Clips that `make bench` holds in-betweens against, as "a.mp4 b.mp4:0:40"; without them it measures speed alone.
CLIPS  :=

help: ## this list
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: build ## a film from the photographs in examples/photos
	@mkdir -p $(OUT)
	$(HOST) render examples/photos/*.jpg -o $(OUT)/demo.mp4 --db $(OUT)/demo.db --overwrite --contact-sheet \
	  --name demo --resolution 640x432 --fps 24 --segment-frames 40 --frame-overlap 8

test: build python ## every test
	$(CARGO) test --release --workspace

lint: plugins ## formatting, clippy, rustdoc, contract and documents
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --workspace --all-targets -- -D warnings
	$(CARGO) clippy --release --target wasm32-wasip2 -p plugin-travel -p plugin-dissolve -p travel-test-guests -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --workspace --no-deps
	$(CARGO) test --release -p travel-host --test documents -- every_item links_in

bench: build python ## the benchmarks of docs/benchmarks.md, beside their peers where Python has them
	$(CARGO) bench -p travel-sandbox --bench plan_call
	$(CARGO) build --release -p travel-media --example stitch_bench -p travel-generators --example inbetween
	python3 tests/bench/overhead.py
	python3 tests/bench/devices.py
	python3 tests/bench/stop.py
	python3 tests/bench/stitch.py
	python3 tests/bench/parts.py
	python3 tests/bench/crossfades.py
	python3 tests/bench/longest.py
	$(CARGO) bench -p travel-queue --bench figures
	$(CARGO) test --release -p travel-engine --test scheduling -- --nocapture
	$(CARGO) build --release -p travel-queue --example lifecycle && python3 host/queue/bench/peers.py
	@if python3 -c 'import cv2' 2>/dev/null; then \
	  python3 host/generators/bench/inbetween.py --inbetween $(TARGET)/release/examples/inbetween \
	    $(or $(CLIPS),--speed examples/photos/1-coffee.jpg examples/photos/2-coffee-close.jpg); \
	else echo "in-betweening is not measured: python3 has no module cv2 (pip install opencv-python-headless)"; fi

audit: ## licences, bans and advisories, where cargo-deny is installed
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny check; \
	else echo "cargo-deny is not installed: cargo install cargo-deny --locked"; fi

build: plugins ## the program, in $(HOST)
	$(CARGO) build --release -p travel-host

plugins: setup ## the components: default plugins, and the hostile one that tests use
	$(CARGO) build --release --target wasm32-wasip2 -p plugin-travel -p plugin-dissolve -p travel-test-guests
	@for id in travel dissolve; do \
	  cmp -s $(WASM)/plugin_$$id.wasm plugins/$$id/$$id.wasm || cp $(WASM)/plugin_$$id.wasm plugins/$$id/$$id.wasm; \
	done

python: setup ## a Python with OpenCV, for the generator that shows authors the way
	@.ci/python $(TARGET)/python

setup:
	@.ci/setup

clean: ## everything that was built
	$(CARGO) clean
	rm -rf $(OUT) plugins/*/*.wasm
