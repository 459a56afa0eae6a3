# dmlbench: `make demo` and `make test` do everything on a fresh Debian machine; `make help` lists the rest.
#
# Each layer is a library (kernels, collectives, bench), built once per variant:
#   mpi   mpicc, what you run          sim   smpicc, the same sources on simulated hosts
#   asan  mpicc with AddressSanitizer and UndefinedBehaviorSanitizer
# Settings: MPICC, SMPICC, CC, MARCH (native), WERROR=1, PREFIX, DESTDIR.

MPICC   ?= mpicc
SMPICC  ?= smpicc
MARCH   ?= native
PREFIX  ?= /usr/local
BUILD   ?= build
PYTHON  ?= python3

LAYERS   := kernels collectives bench
VARIANTS := mpi sim asan
VERSION  := 0.1.0

WARN   := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes $(if $(WERROR),-Werror)
CFLAGS := -std=gnu11 -O3 -g -march=$(MARCH) -ffp-contract=off -fno-math-errno -fno-trapping-math -pthread $(WARN)
CPPFLAGS := -I. -D_GNU_SOURCE
LDLIBS := -lopenblas -lsleef -lhwloc -lcjson -lxxhash -lmd -lm -pthread

CC_mpi  := $(MPICC)
CC_sim  := $(SMPICC)
CC_asan := $(MPICC)
FLAGS_asan := -fsanitize=address,undefined -fno-omit-frame-pointer

.PHONY: all sim demo test bench layers format lint install uninstall clean help
.DELETE_ON_ERROR:

all: $(BUILD)/dmlbench

# ---- one library per layer and variant, one program per variant --------------------------------------------------------------

SOURCES_kernels     := $(wildcard kernels/*.c)
SOURCES_collectives := $(wildcard collectives/*.c)
SOURCES_bench       := $(filter-out bench/main.c,$(wildcard bench/*.c))

GIT_COMMIT := $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
GIT_DIRTY  := $(shell test -z "$$(git status --porcelain --untracked-files=no 2>/dev/null)" && echo 0 || echo 1)

# $(1) variant, $(2) layer
define layer_rules
$(BUILD)/$(1)/lib$(2).a: $(SOURCES_$(2):%.c=$(BUILD)/$(1)/%.o)
	@rm -f $$@
	ar rcs $$@ $$^
endef

# $(1) variant
define variant_rules
$(BUILD)/$(1)/%.o: %.c
	@mkdir -p $$(@D)
	$$(CC_$(1)) $$(CPPFLAGS) $$(CFLAGS) $$(FLAGS_$(1)) -MMD -MP -c $$< -o $$@
$(foreach layer,$(LAYERS),$(eval $(call layer_rules,$(1),$(layer))))
$(BUILD)/$(1)/dmlbench: $(BUILD)/$(1)/bench/main.o $(BUILD)/$(1)/libbench.a $(BUILD)/$(1)/libcollectives.a $(BUILD)/$(1)/libkernels.a
	$$(CC_$(1)) $$(CFLAGS) $$(FLAGS_$(1)) $$^ -o $$@ $$(LDLIBS)

# tests of a layer link that layer and those below it
$(BUILD)/$(1)/tests/kernels/%: $(BUILD)/$(1)/tests/kernels/%.o $(BUILD)/$(1)/libkernels.a
	$$(CC_$(1)) $$(CFLAGS) $$(FLAGS_$(1)) $$^ -o $$@ -lcmocka $$(LDLIBS)
$(BUILD)/$(1)/tests/collectives/%: $(BUILD)/$(1)/tests/collectives/%.o $(BUILD)/$(1)/libcollectives.a $(BUILD)/$(1)/libkernels.a
	$$(CC_$(1)) $$(CFLAGS) $$(FLAGS_$(1)) $$^ -o $$@ -lcmocka $$(LDLIBS)
$(BUILD)/$(1)/tests/bench/%: $(BUILD)/$(1)/tests/bench/%.o $(BUILD)/$(1)/libbench.a $(BUILD)/$(1)/libcollectives.a $(BUILD)/$(1)/libkernels.a
	$$(CC_$(1)) $$(CFLAGS) $$(FLAGS_$(1)) $$^ -o $$@ -lcmocka $$(LDLIBS)
$(BUILD)/$(1)/tests/speed/%: $(BUILD)/$(1)/tests/speed/%.o $(BUILD)/$(1)/libbench.a $(BUILD)/$(1)/libcollectives.a $(BUILD)/$(1)/libkernels.a
	$$(CC_$(1)) $$(CFLAGS) $$(FLAGS_$(1)) $$^ -o $$@ $$(LDLIBS)
endef
$(foreach variant,$(VARIANTS),$(eval $(call variant_rules,$(variant))))

# the build's identity goes into one file, which is remade when it changes
$(foreach variant,$(VARIANTS),$(BUILD)/$(variant)/bench/environment.o): CPPFLAGS += -DDMLBENCH_VERSION='"$(VERSION)"' \
	-DDMLBENCH_CFLAGS='"$(CFLAGS)"' -DDMLBENCH_GIT_COMMIT='"$(GIT_COMMIT)"' -DDMLBENCH_GIT_DIRTY=$(GIT_DIRTY)

$(BUILD)/dmlbench: $(BUILD)/mpi/dmlbench
	ln -sf mpi/dmlbench $@

sim: $(BUILD)/sim/dmlbench
	ln -sf sim/dmlbench $(BUILD)/dmlbench-sim

clean:
	rm -rf $(BUILD)

.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
