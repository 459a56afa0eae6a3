# dmlbench: `make demo` and `make test` do everything on a fresh Debian machine; `make help` lists the rest.
#
# Each layer is a library (kernels, collectives, bench), built once per variant:
#   mpi   mpicc, what you run          sim   smpicc, the same sources on simulated hosts
#   asan  mpicc with AddressSanitizer and UndefinedBehaviorSanitizer
# Settings: MPICC, SMPICC, MARCH (native), WERROR=1, BUILD (build), JOBS, PREFIX (/usr/local), DESTDIR.

MPICC   ?= mpicc
SMPICC  ?= smpicc
MARCH   ?= native
PREFIX  ?= /usr/local
BUILD   ?= build
JOBS    ?= $(shell nproc)

LAYERS   := kernels collectives bench
VARIANTS := mpi sim asan
VERSION  := 0.1.0

WARN   := -Wno-psabi -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes $(if $(WERROR),-Werror)
CFLAGS := -std=gnu11 -O3 -g -march=$(MARCH) -ffp-contract=off -fno-math-errno -fno-trapping-math -pthread
CPPFLAGS := -I. -D_GNU_SOURCE
LDLIBS := -lopenblas -lsleef -lhwloc -lcjson -lxxhash -lmd -lm -pthread

CC_mpi  := $(MPICC)
CC_sim  := $(SMPICC)
CC_asan := $(MPICC)
FLAGS_asan := -fsanitize=address,undefined -fno-omit-frame-pointer

.PHONY: all sim deps docs demo test test-ready test-asan test-programs asan-programs bench networks crossover mlsys22 layers format lint install uninstall clean help FORCE
.DELETE_ON_ERROR:

# each has a main file of its own; bench/main.c is dmlbench's
PROGRAMS := dmlbench dmlplan dmlrun
MAIN_dmlbench := bench/main
MAIN_dmlplan  := bench/plan_main
MAIN_dmlrun   := bench/launch_main

all: $(PROGRAMS:%=$(BUILD)/%)

# ---- one library per layer and variant, one program per variant --------------------------------------------------------------

SOURCES_kernels     := $(wildcard kernels/*.c)
SOURCES_collectives := $(wildcard collectives/*.c)
SOURCES_bench       := $(filter-out $(foreach p,$(PROGRAMS),$(MAIN_$(p)).c),$(wildcard bench/*.c))

GIT_COMMIT := $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
GIT_DIRTY  := $(shell test -z "$$(git status --porcelain --untracked-files=no 2>/dev/null)" && echo 0 || echo 1)

# $(1) variant, $(2) layer
define layer_rules
$(BUILD)/$(1)/lib$(2).a: $(SOURCES_$(2):%.c=$(BUILD)/$(1)/%.o)
	@rm -f $$@
	ar rcs $$@ $$^
endef

# $(1) variant, $(2) program
define program_rules
$(BUILD)/$(1)/$(2): $(BUILD)/$(1)/$(MAIN_$(2)).o $(BUILD)/$(1)/libbench.a $(BUILD)/$(1)/libcollectives.a $(BUILD)/$(1)/libkernels.a
	$$(CC_$(1)) $$(CFLAGS) $$(FLAGS_$(1)) $$^ -o $$@ $$(LDLIBS)
endef

# $(1) variant
define variant_rules
$(BUILD)/$(1)/%.o: %.c $(BUILD)/flags
	@mkdir -p $$(@D)
	$$(CC_$(1)) $$(CPPFLAGS) $$(CFLAGS) $$(WARN) $$(FLAGS_$(1)) -MMD -MP -c $$< -o $$@
$(foreach layer,$(LAYERS),$(eval $(call layer_rules,$(1),$(layer))))
$(foreach program,$(PROGRAMS),$(eval $(call program_rules,$(1),$(program))))

# tests of a layer link that layer and those below it
$(BUILD)/$(1)/tests/kernels/%: $(BUILD)/$(1)/tests/kernels/%.o $(BUILD)/$(1)/libkernels.a
	$$(CC_$(1)) $$(CFLAGS) $$(FLAGS_$(1)) $$^ -o $$@ -lcmocka $$(LDLIBS)
$(BUILD)/$(1)/tests/collectives/%: $(BUILD)/$(1)/tests/collectives/%.o $(BUILD)/$(1)/libcollectives.a $(BUILD)/$(1)/libkernels.a
	$$(CC_$(1)) $$(CFLAGS) $$(FLAGS_$(1)) $$^ -o $$@ -lcmocka $$(LDLIBS)
$(BUILD)/$(1)/tests/bench/%: $(BUILD)/$(1)/tests/bench/%.o $(BUILD)/$(1)/libbench.a $(BUILD)/$(1)/libcollectives.a $(BUILD)/$(1)/libkernels.a
	$$(CC_$(1)) $$(CFLAGS) $$(FLAGS_$(1)) $$^ -o $$@ -lcmocka $$(LDLIBS)
$(BUILD)/$(1)/tests/speed/%: $(BUILD)/$(1)/tests/speed/%.o $(BUILD)/$(1)/libbench.a $(BUILD)/$(1)/libcollectives.a $(BUILD)/$(1)/libkernels.a
	$$(CC_$(1)) $$(CFLAGS) $$(FLAGS_$(1)) $$^ -o $$@ -lcmocka $$(LDLIBS)
endef
$(foreach variant,$(VARIANTS),$(eval $(call variant_rules,$(variant))))

# These stand in for functions: to record a step's matrix products, to count allocations, to let a check fail.
$(BUILD)/mpi/tests/speed/speed_gpt: LDLIBS += -Wl,--wrap=matmul,--wrap=stopwatch_switch
$(VARIANTS:%=$(BUILD)/%/tests/bench/test_allocation): LDLIBS += -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
$(VARIANTS:%=$(BUILD)/%/tests/bench/test_run): LDLIBS += -Wl,--wrap=verify_gradients,--wrap=verify_parameters,--wrap=verify_finite

# Two notes of what the objects were made with; each is rewritten, and its objects remade, only when it changes: the compilers
# and flags of all objects, and the build's identity, which goes into one file.
IDENTITY := -DDMLBENCH_VERSION='"$(VERSION)"' -DDMLBENCH_CFLAGS='"$(CFLAGS)"' -DDMLBENCH_GIT_COMMIT='"$(GIT_COMMIT)"' \
	-DDMLBENCH_GIT_DIRTY=$(GIT_DIRTY)
$(BUILD)/flags: NOTE = $(MPICC) $(SMPICC) $(CFLAGS)
$(BUILD)/identity: NOTE = $(IDENTITY)
$(BUILD)/flags $(BUILD)/identity: FORCE
	$(shell mkdir -p $(@D))$(file >$@.new,$(NOTE))@cmp -s $@.new $@ && rm $@.new || mv $@.new $@
ENVIRONMENT_O := $(VARIANTS:%=$(BUILD)/%/bench/environment.o)
$(ENVIRONMENT_O): CPPFLAGS += $(IDENTITY)
$(ENVIRONMENT_O): $(BUILD)/identity

$(PROGRAMS:%=$(BUILD)/%): $(BUILD)/%: $(BUILD)/mpi/%
	ln -sf mpi/$* $@

# SMPI copies the program once for every rank.
$(BUILD)/sim/dmlbench: LDLIBS += -Wl,--strip-debug

sim: $(BUILD)/sim/dmlbench
	ln -sf sim/dmlbench $(BUILD)/dmlbench-sim

# ---- set-up, demo, tests, bench ----------------------------------------------------------------------------------------------

deps:
	@scripts/install-deps.sh

# The sub-makes read the machine again after deps has changed it.
demo: deps
	$(MAKE) -j$(JOBS) all
	scripts/demo.sh $(BUILD)

TESTS       := $(patsubst %.c,%,$(wildcard tests/kernels/test_*.c tests/collectives/test_*.c tests/bench/test_*.c))
TESTS_mpi   := $(patsubst %.c,%,$(shell grep -ls '^/\* ranks:' $(TESTS:=.c) /dev/null))
TESTS_sim   := tests/collectives/show_deadlock tests/collectives/show_times
TESTS_tools := $(patsubst %.c,%,$(wildcard tests/*/show_*.c))

test-programs: all sim $(TESTS:%=$(BUILD)/mpi/%) $(TESTS_tools:%=$(BUILD)/mpi/%) $(TESTS_mpi:%=$(BUILD)/sim/%) $(TESTS_sim:%=$(BUILD)/sim/%)
asan-programs: $(BUILD)/asan/dmlbench $(TESTS:%=$(BUILD)/asan/%)

test: test-ready
	tests/run --build $(BUILD)

test-ready: deps
	$(MAKE) -j$(JOBS) test-programs $(TESTS:%=$(BUILD)/asan/%)
	$(MAKE) layers

# Everything that is C under AddressSanitizer and UndefinedBehaviorSanitizer, the MPI tests too.
test-asan: deps
	$(MAKE) -j$(JOBS) asan-programs
	tests/run --build $(BUILD) --variant asan

bench: deps
	$(MAKE) -j$(JOBS) all $(patsubst %.c,$(BUILD)/mpi/%,$(wildcard tests/speed/*.c))
	scripts/bench/run.py --build $(BUILD)

networks: deps
	$(MAKE) -j$(JOBS) all sim
	scripts/networks/run.py --build $(BUILD)

# Where compression pays: on links shaped in the process; on simulated hosts, beside what was published.
crossover: all
	scripts/crossover crossover.json --out results/crossover

mlsys22: all sim
	scripts/crossover slow-link.json --out results/slow-link
	scripts/crossover mlsys22.json --out results/mlsys22
	scripts/mlsys22 results/mlsys22/crossover.json

layers: all
	scripts/check-layers.py $(BUILD)/mpi

# The reference pages are made from the program's tables; a test keeps them in step.
docs: $(BUILD)/mpi/tests/bench/show_documents
	$< config > docs/config.md
	$< results > docs/results.md

# ---- care of the source ------------------------------------------------------------------------------------------------------

C_FILES  := $(wildcard kernels/*.[ch] collectives/*.[ch] bench/*.[ch] tests/*/*.[ch])
PY_FILES := $(shell grep -lsrI '^\#!.*python' scripts tests) $(wildcard tests/cli/*.py)
SH_FILES := $(wildcard scripts/*.sh scripts/hosts/* scripts/slurm/*) .ci/run

format:
	clang-format -i $(C_FILES)

# $(1) tool, $(2) its arguments; a machine without the tool is told so
check_with = @if command -v $(1) > /dev/null; then set -x; $(1) $(2); else echo "lint: $(1) is not here and checked nothing"; fi

lint:
	$(call check_with,clang-format,--dry-run -Werror $(C_FILES))
	$(call check_with,cppcheck,--quiet --std=c11 --enable=warning --enable=performance --enable=portability --inline-suppr --error-exitcode=1 -I. $(LAYERS))
	$(call check_with,shellcheck,-x $(SH_FILES))
	$(call check_with,/usr/bin/python3,-m py_compile $(PY_FILES))

# ---- the installed program ---------------------------------------------------------------------------------------------------

# configs/data.json trains on the project's own text: the sources go along, in the same places relative to configs/.
SHARE := $(DESTDIR)$(PREFIX)/share/dmlbench
install: all
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/bin $(PROGRAMS:%=$(BUILD)/mpi/%)
	test ! -f $(BUILD)/sim/dmlbench || install -m 755 $(BUILD)/sim/dmlbench $(DESTDIR)$(PREFIX)/bin/dmlbench-sim
	install -D -m 644 -t $(SHARE) README.md LICENSE
	set -e; $(foreach folder,configs docs $(LAYERS),install -D -m 644 -t $(SHARE)/$(folder) $(wildcard $(folder)/*.*);)

uninstall:
	rm -f $(foreach program,$(PROGRAMS) dmlbench-sim,$(DESTDIR)$(PREFIX)/bin/$(program))
	rm -rf $(SHARE)

clean:
	rm -rf $(BUILD)

help:
	@sed -n 's/^#: //p' Makefile

#: make             build/dmlbench, build/dmlplan and build/dmlrun
#: make demo        install what is missing, build, run the main job on 8 ranks, draw its result
#: make test        install what is missing, build, then every test; the last line says how many passed
#: make sim         build/dmlbench-sim: the same program on simulated hosts
#: make bench       speed, side by side with what others do on this machine
#: make networks    one experiment on shaped links, simulated hosts and (as root) network namespaces, beside closed forms
#: make crossover   step time and loss of codes over bandwidths, on shaped links; where they stop paying (minutes)
#: make mlsys22     the same in a data centre and on a slow link, simulated, beside published tables (minutes)
#: make test-asan   the C tests under AddressSanitizer and UndefinedBehaviorSanitizer
#: make layers      prove that bench -> collectives -> kernels holds
#: make docs        make docs/config.md and docs/results.md anew from the tables
#: make format lint care of the source
#: make install     into $(DESTDIR)$(PREFIX); make uninstall takes it out again

.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
