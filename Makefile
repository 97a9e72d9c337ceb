# Front door. The work is done by meson and by the scripts in scripts/.

COVERAGE_MIN ?= 90
SECONDS ?= 60
PREFIX ?= /usr/local

.DEFAULT_GOAL := help
.PHONY: help run build test test-long test-asan test-slow test-tsan test-archive bench cluster nightly nightly-dht nightly-month fuzz coverage lint lint-quick analyze format install dist deb test-deb reproducible clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 22

run: build ## show the main job on a real file: make run FILE=...
	@scripts/demo $(if $(FILE),"$(FILE)")

build: ## build/pangea, with all it needs installed first
	@scripts/setup build
	@scripts/build release pangea

test: ## all tests and checks: release, address and undefined, thread sanitizer
	@scripts/setup test
	@scripts/test

test-long: ## all tests at their full length, those with processes under the sanitizers too: more than an hour
	@scripts/setup test
	@PG_TEST_LONG=1 scripts/test

test-asan: ## only the tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@scripts/setup test
	@scripts/test asan

test-slow: ## only the long simulations, under the same: what every submission runs too
	@scripts/setup test
	@scripts/test slow

test-tsan: ## only the tests under ThreadSanitizer
	@scripts/setup test
	@scripts/test tsan

test-archive: ## the cold archive with Ceph's S3 gateway, whose packages it installs (a minute)
	@scripts/setup test archive
	@scripts/build release pangea tests/integration/s3-client
	@python3 tests/integration/test_radosgw.py build/pangea build/tests/integration/s3-client

bench: ## measure: tables, and JSON in build/bench/ (make bench NAME=codec PEERS=1)
	@scripts/setup bench $(if $(PEERS),peers)
	@scripts/build release
	@PEERS=$(PEERS) scripts/bench $(NAME)

nightly: SECONDS = 3600
nightly: ## the seeds of the long simulation that come next: make nightly SECONDS=3600
	@scripts/setup test
	@scripts/build release tests/sim/test_sim_files_soak
	@scripts/nightly $(SECONDS)

cluster: NODES ?= 50
cluster: FILES ?= 500
cluster: SEED ?= 1
cluster: ## 50 processes, 500 files; a quarter crashes, leaves, vanishes, or all are cut in two: make cluster PARTS="Crash Vanish" SEED=2
	@scripts/setup test
	@scripts/build release pangea
	@PG_CLUSTER_NODES=$(NODES) PG_CLUSTER_FILES=$(FILES) PG_CLUSTER_SEED=$(SEED) PG_CLUSTER_PATIENCE=150 PG_CLUSTER_JSON=build/cluster \
	  python3 tests/cluster/test_cluster.py build/pangea $(PARTS)

nightly-dht: ## the DHT in networks of up to 10,000 nodes, and under attack: prints tables
	@scripts/setup test
	@scripts/build release bench/bench_dht tests/sim/test_sim_dht_attacks tests/sim/test_sim_dht_walk
	@nice -n 19 build/bench/bench_dht scale 50 100 200 400 1000
	@nice -n 19 build/bench/bench_dht young 1000 10000
	@nice -n 19 build/tests/sim/test_sim_dht_attacks
	@PG_SIM_NODES=200 nice -n 19 build/tests/sim/test_sim_dht_walk

nightly-month: SECONDS = 3600
nightly-month: ## a month of churn among 1,000 nodes, seed after seed: make nightly-month SECONDS=3600
	@scripts/setup test
	@scripts/build release bench/bench_month
	@scripts/nightly_month $(SECONDS)

fuzz: ## fuzz each decoder a while: make fuzz TARGET=codec_varint SECONDS=60
	@scripts/setup fuzz
	@scripts/fuzz "$(TARGET)" $(SECONDS)

coverage: ## lines reached by the tests, room by room; fails below COVERAGE_MIN percent
	@scripts/setup coverage
	@scripts/coverage $(COVERAGE_MIN)

lint: ## layout, static analysis, shell scripts, and the checks
	@scripts/setup lint
	@scripts/lint

lint-quick: ## the same without clang-tidy, which takes a quarter of an hour
	@scripts/setup lint
	@scripts/lint quick

analyze: ## clang's static analyzer over src/; a finding fails
	@scripts/setup lint analyze
	@rm -rf build-analyze
	@$$(command -v scan-build-14 || echo scan-build) --use-cc=$$(command -v clang-14 || echo clang) --status-bugs \
	  --exclude tests -o .cache/analyze scripts/build analyze

format: ## lay the code out
	@scripts/setup lint
	@git ls-files -z '*.c' '*.h' | xargs -0 -r $$(command -v clang-format-14 || command -v clang-format) -i

install: build ## install into PREFIX (/usr/local), below DESTDIR
	@meson configure build -Dprefix=$(PREFIX)
	@meson install -C build

dist: ## the release in dist/: source archive, what it consists of (SPDX), checksums
	@scripts/setup build
	@scripts/dist

deb: ## a Debian package in dist/, judged by lintian
	@scripts/setup deb
	@scripts/deb

test-deb: ## install, use, upgrade, remove and purge that package in a fresh Debian in a folder (as root)
	@scripts/setup deb
	@scripts/test_deb

reproducible: ## make package and release twice, in two folders, and compare every byte (DEPS=1: the private libraries too)
	@scripts/setup deb
	@DEPS=$(DEPS) scripts/reproducible

clean: ## remove the build directories; the private libraries in .deps stay
	rm -rf build build-asan build-tsan build-coverage build-lint build-fuzz build-analyze build-deb
