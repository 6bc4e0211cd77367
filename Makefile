# SPDX-License-Identifier: Apache-2.0
# notail. `make help` lists the targets.
#
# Settings: V=1 shows commands; SANITIZE=address,undefined builds with sanitizers; ARCH=x86_64|arm64 chooses the BPF
# target; BUILD=DIR builds elsewhere; FAULT=DROP_READ|DROP_COUNT builds a kernel side that loses one read (or count) in
# 1,000, FAULT=NO_RESCUE one whose second copies do nothing, for the tests that must notice; ROOMS="base io" limits
# `check` to some rooms.

VERSION := $(shell cat VERSION)
BUILD ?= build
ARCH ?= $(patsubst aarch64,arm64,$(shell uname -m))
PREFIX ?= /usr/local
CLANG ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool /usr/local/sbin/bpftool) bpftool)
PKG_CONFIG ?= pkg-config

ROOMS ?= base state io capture assemble containers kube process streams batch spool delivery sink status security config
SAN := $(BUILD)/san

ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-8s %s\n' $(1) $(2)
endif

LIBS := libbpf libelf zlib libcurl jansson libprotobuf-c libevent libevent_openssl libssl yaml-0.1 libpcre2-8 libcrypto libseccomp
ifeq ($(filter deps test-deps help clean format,$(MAKECMDGOALS)),)
LIB_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(LIBS) 2>/dev/null)
LIB_LDLIBS := $(shell $(PKG_CONFIG) --libs $(LIBS) 2>/dev/null || echo -lbpf -lelf -lz -lcurl -ljansson -lprotobuf-c -levent -levent_openssl -lssl -lyaml -lpcre2-8 -lcrypto -lseccomp) -lsnappy
endif

CPPFLAGS += -D_GNU_SOURCE -DNOTAIL_VERSION='"$(VERSION)"' -Iinclude -Iuser -I$(BUILD)/gen $(LIB_CFLAGS)
CFLAGS ?= -O2 -g
CFLAGS += -std=gnu11 -Wall -Wextra -Werror -Wmissing-prototypes -Wstrict-prototypes -fno-common -pthread
LDLIBS += $(LIB_LDLIBS) -lm -pthread
SANITIZE_FLAGS := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all)
SAN_FLAGS := -fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=all

BPF_ARCH := $(patsubst x86_64,x86,$(ARCH))
BPF_CFLAGS := -O2 -g -Wall -Wextra -Werror -target bpf -D__TARGET_ARCH_$(BPF_ARCH) -D__bpf__ -Iinclude -Ibpf \
	-Ivmlinux/$(ARCH) -Ivmlinux -I$(BUILD)/gen $(LIB_CFLAGS) $(if $(FAULT),-DFAULT_$(FAULT))

SOURCES := $(wildcard user/*.c) $(foreach r,$(ROOMS),$(wildcard user/$(r)/*.c))
LIB_SOURCES := $(filter-out user/main.c,$(SOURCES))
PROTO := $(BUILD)/gen/push.pb-c
SKELS := $(patsubst bpf/%.bpf.c,$(BUILD)/gen/%.skel.h,$(wildcard bpf/*.bpf.c))
# Another build's directory, for one with a FAULT: all that knows nothing of the kernel side is taken from there.
SHARED ?= $(BUILD)
OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(filter user/capture/%,$(SOURCES))) \
	$(patsubst %.c,$(SHARED)/%.o,$(filter-out user/capture/%,$(SOURCES)) $(PROTO:$(BUILD)/%=%).c)
SAN_OBJECTS := $(patsubst %.c,$(SAN)/%.o,$(filter-out user/pipeline.c user/clients.c user/ruleset.c,$(LIB_SOURCES)))
SAN_OBJECTS += $(if $(filter batch,$(ROOMS)),$(SAN)/push.pb-c.o)
UNIT_SOURCES := $(foreach r,$(ROOMS),$(wildcard tests/unit/$(r)/test_*.c)) $(if $(filter-out command line,$(origin ROOMS)),$(wildcard tests/unit/test_*.c))
UNIT_TESTS := $(or $(TESTS),$(notdir $(basename $(UNIT_SOURCES))))
UNIT_BINS := $(addprefix $(SAN)/,$(UNIT_TESTS))
BPF_TESTS := $(patsubst tests/bpf/%.c,$(BUILD)/tests/%,$(wildcard tests/bpf/test_*.c))
BENCH_PROGRAMS := $(patsubst tests/bench/capture/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/capture/*.c))
PROGRAMS := $(patsubst tests/e2e/%.c,$(BUILD)/tests/%,$(wildcard tests/e2e/*.c)) $(BUILD)/tests/vm_soak $(BUILD)/tests/turned_clock.so

.DEFAULT_GOAL := all
.PHONY: fuzz-targets all run test check check-valgrind check-threads test-faults test-image config-files test-engines soak soak-vm bench bench-capture bench-pipeline bench-spool bench-kubernetes fuzz vmtest install deps test-deps test-programs format clean help
.DELETE_ON_ERROR:
.PRECIOUS: $(BUILD)/%.bpf.o $(BUILD)/gen/%.skel.h

all: $(BUILD)/notail ## build notail into build/notail

run: deps ## install what is missing, build, show the output of every container of this host
	$(Q)$(MAKE) --no-print-directory all
	$(Q)NOTAIL=$(BUILD)/notail deploy/run-demo

test: test-deps ## everything: unit, receiver, BPF, end-to-end with real engines, one VM boot (root, under 25 minutes)
	$(Q)BUILD=$(BUILD) tests/run

check: $(UNIT_BINS) ## unit tests under ASAN and UBSAN (no root, under 2 minutes)
	$(Q)tests/unit/run $(UNIT_BINS)

# In build directories of their own: other flags.
check-valgrind: test-deps ## the unit tests and test-pipeline under valgrind
	$(Q)$(MAKE) --no-print-directory BUILD=$(BUILD)/plain SAN_FLAGS=-Wno-error all
	$(Q)UNIT_SECONDS=1200 UNDER=tests/unit/valgrind $(MAKE) --no-print-directory BUILD=$(BUILD)/plain SAN_FLAGS=-Wno-error check
	$(Q)NOTAIL=tests/unit/valgrind VALGRIND_PROGRAM=$(BUILD)/plain/notail tests/e2e/run pipeline

check-threads: ## the unit tests under TSAN
	$(Q)UNIT_SECONDS=600 UNDER="setarch -R" $(MAKE) --no-print-directory BUILD=$(BUILD)/threads \
		SAN_FLAGS="-fsanitize=thread -fno-omit-frame-pointer -Wno-tsan -Wno-error" check

bench: all test-programs ## timed figures, printed and not judged (root)
	$(Q)BUILD=$(BUILD) /usr/bin/python3 tests/bench/bench.py $(BENCH_ARGS)
	$(Q)BUILD=$(BUILD) /usr/bin/python3 tests/bench/delivery.py $(DELIVERY_ARGS)

bench-capture: all test-programs $(BENCH_PROGRAMS) ## what capturing costs: calls, consumer, memory; in qemu by instructions (root)
	$(Q)BUILD=$(BUILD) /usr/bin/python3 tests/bench/capture/bench.py $(BENCH_ARGS)

bench-pipeline: $(BUILD)/bench/pipeline ## lines/s of one core from lines to compressed batches, with and without stages
	$(Q)$< $(BENCH_ARGS)

bench-spool: $(BUILD)/bench/spool ## appending to the spool and reading it back, 1 GiB each, in SPOOL_DIR (/var/tmp)
	$(Q)$< $(or $(SPOOL_DIR),/var/tmp) $(BENCH_ARGS)

bench-kubernetes: $(BUILD)/bench/kubernetes all test-programs ## what 110 pods of 3 containers cost, 30 changes a second: by part, and notail in all (root)
	$(Q)$<
	$(Q)BUILD=$(BUILD) /usr/bin/python3 tests/bench/kubernetes.py $(BENCH_ARGS)

fuzz: ## run every fuzz target for FUZZ_SECONDS (20) each
	$(Q)BUILD=$(BUILD) tests/fuzz/run

vmtest: ## the BPF tests on other kernels in qemu, a table; KERNELS="6.1 6.12:preempt=full arm64/6.12" chooses some
	$(Q)tests/deps build vm
	$(Q)$(MAKE) --no-print-directory all test-programs
	$(Q)BUILD=$(BUILD) tests/vm/test $(or $(KERNELS),5.10 6.1 6.12 6.12:preempt=full 6.16+ 6.18:preempt=full 7 \
		7:preempt=full arm64/6.12 arm64/6.1)

test-engines: all test-programs ## 1,000 containers with docker, 200 with podman and ctr each, 10,000 with none; systemd (root)
	$(Q)BUILD=$(BUILD) tests/e2e/engines/run; status=$$?; BUILD=$(BUILD) tests/vm/systemd && exit $$status

test-faults: all test-programs ## notail killed, stopped and starved, Loki away, slow and wrong: the long forms, an hour and more (root)
	$(Q)BUILD=$(BUILD) tests/e2e/faults/run $(FAULTS)

test-image: test-deps ## build the image of deploy/docker on a base that debootstrap makes, and look at it (root)
	$(Q)BUILD=$(BUILD) tests/image

soak: all test-programs ## random writers against docker's record for SOAK_MINUTES (30) (root)
	$(Q)BUILD=$(BUILD) SOAK_MINUTES=$(or $(SOAK_MINUTES),30) tests/e2e/soak.py

soak-vm: ## load on preemptible kernels in qemu for SOAK_MINUTES (5) each; SOAKS="7:preempt=full,--hooks,fexit" chooses
	$(Q)tests/deps build vm
	$(Q)$(MAKE) --no-print-directory all test-programs
	$(Q)BUILD=$(BUILD) SOAK_MINUTES=$(or $(SOAK_MINUTES),5) tests/vm/soak-kernels $(SOAKS)

test-programs: $(BPF_TESTS) $(PROGRAMS) $(BUILD)/tests/notail-slow-scan $(BUILD)/tests/push ## build the programs that the BPF and end-to-end tests use

install: all ## install below DESTDIR and PREFIX
	$(Q)install -D -m 0755 $(BUILD)/notail $(DESTDIR)$(PREFIX)/bin/notail

deps: ## install what building needs (Debian packages; nothing to do when it is there)
	$(Q)tests/deps build

test-deps: ## install what testing needs
	$(Q)tests/deps build test

config-files: all ## write deploy/notail.yaml and deploy/notail.schema.json from the configuration's tables
	$(Q)$(BUILD)/notail check-config --defaults > deploy/notail.yaml
	$(Q)$(BUILD)/notail check-config --schema > deploy/notail.schema.json

format: ## format the C sources with clang-format
	$(Q)clang-format -i $$(git ls-files '*.c' '*.h' | grep -v '^vmlinux/')

clean: ## remove the build directory
	$(Q)rm -rf $(BUILD)

help: ## this list
	$(Q)awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# A changed FAULT or SANITIZE must rebuild: the settings are a file that the objects depend on.
SETTINGS := $(BUILD)/settings
ifeq ($(filter deps test-deps help clean format,$(MAKECMDGOALS)),)
$(shell mkdir -p $(BUILD); echo '$(FAULT) $(SANITIZE) $(ARCH) $(CFLAGS)' > $(SETTINGS).new; \
	cmp -s $(SETTINGS).new $(SETTINGS) || cp $(SETTINGS).new $(SETTINGS))
endif

$(BUILD)/notail: $(OBJECTS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(SANITIZE_FLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/%.bpf.o: bpf/%.bpf.c $(SETTINGS)
	$(call say,BPF,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -MF $(@:.o=.d) -MT $@ -c $< -o $@.tmp
	$(Q)$(BPFTOOL) gen object $@ $@.tmp
	$(Q)rm -f $@.tmp

$(BUILD)/gen/%.skel.h: $(BUILD)/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@

$(PROTO).c $(PROTO).h &: user/batch/push.proto
	$(call say,PROTOC,$@)
	$(Q)mkdir -p $(BUILD)/gen
	$(Q)protoc-c --proto_path=user/batch --c_out=$(BUILD)/gen $<

$(PROTO).o: $(PROTO).c $(SETTINGS)
	$(Q)$(CC) -O2 -g -w -I$(BUILD)/gen $(LIB_CFLAGS) $(SANITIZE_FLAGS) -c $< -o $@

$(SAN)/push.pb-c.o: $(PROTO).c
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -O1 -g -w -I$(BUILD)/gen $(LIB_CFLAGS) $(SAN_FLAGS) -c $< -o $@

# Only these two rooms see generated headers.
FUZZ := $(BUILD)/fuzz
FUZZ_FLAGS := -O1 -g -w -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
# What needs no kernel side: a target takes of it what it uses.
FUZZ_SOURCES := user/commit.c $(filter-out user/capture/%,$(wildcard user/*/*.c)) \
	$(patsubst %,user/capture/%.c,elf_tls names proc record ring)
FUZZ_OBJECTS := $(patsubst %.c,$(FUZZ)/%.o,$(FUZZ_SOURCES)) $(FUZZ)/push.pb-c.o
FUZZ_TARGETS := $(patsubst tests/fuzz/%.c,$(FUZZ)/%,$(wildcard tests/fuzz/fuzz_*.c))

UNIT_OBJECTS := $(patsubst %.c,$(SAN)/%.o,$(UNIT_SOURCES))
fuzz-targets: $(FUZZ_TARGETS)

$(FUZZ)/libnotail.a: $(FUZZ_OBJECTS)
	$(Q)rm -f $@ && ar rcs $@ $^

$(FUZZ)/push.pb-c.o: $(PROTO).c
	$(Q)mkdir -p $(@D) && $(CLANG) $(CPPFLAGS) -std=gnu11 -fsanitize=fuzzer-no-link $(FUZZ_FLAGS) -c -o $@ $<

$(FUZZ)/%.o: %.c $(SETTINGS) | $(PROTO).h
	$(call say,FUZZ,$@)
	$(Q)mkdir -p $(@D) && $(CLANG) $(CPPFLAGS) -std=gnu11 -pthread -fsanitize=fuzzer-no-link $(FUZZ_FLAGS) -MMD -MP -c -o $@ $<

$(FUZZ)/fuzz_%: tests/fuzz/fuzz_%.c $(FUZZ)/libnotail.a
	$(call say,FUZZ,$@)
	$(Q)$(CLANG) $(CPPFLAGS) -std=gnu11 -pthread -fsanitize=fuzzer $(FUZZ_FLAGS) -o $@ $< $(FUZZ)/libnotail.a $(LDLIBS)

$(filter $(BUILD)/user/capture/% $(SAN)/user/capture/%,$(OBJECTS) $(SAN_OBJECTS)): | $(SKELS)
$(filter $(BUILD)/user/batch/% $(SAN)/user/batch/%,$(OBJECTS) $(SAN_OBJECTS)): | $(PROTO).h
$(filter $(SAN)/tests/unit/batch/%,$(UNIT_OBJECTS)): | $(PROTO).h

$(BUILD)/user/%.o: user/%.c $(SETTINGS)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(SANITIZE_FLAGS) -MMD -MP -c $< -o $@

$(SAN)/user/%.o: user/%.c $(SETTINGS)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -O1 -g $(filter-out -O2 -g,$(CFLAGS)) $(SAN_FLAGS) -MMD -MP -c $< -o $@

$(SAN)/tests/unit/%.o: tests/unit/%.c $(SETTINGS)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -Itests/unit -O1 -g $(filter-out -O2 -g -Wmissing-prototypes,$(CFLAGS)) $(SAN_FLAGS) -MMD -MP \
		-c $< -o $@

$(SAN)/libnotail.a: $(SAN_OBJECTS)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $^

define unit_rule
$(SAN)/$(notdir $(basename $(1))): $(SAN)/$(basename $(1)).o $(SAN)/libnotail.a
	$$(call say,LINK,$$@)
	$$(Q)$$(CC) $$(SAN_FLAGS) $$(UNIT_LDFLAGS) -o $$@ $$^ $$(LDLIBS) -lcmocka
endef
$(foreach t,$(wildcard tests/unit/*/test_*.c tests/unit/test_*.c),$(eval $(call unit_rule,$(t))))
# What tests/unit/allocations.h makes fail.
comma := ,
$(SAN)/test_allocations: UNIT_LDFLAGS := $(addprefix -Wl$(comma)--wrap=,malloc calloc realloc reallocarray aligned_alloc \
	strdup strndup open_memstream asprintf)

# The BPF tests load the programs of notail itself through its own capture room.
LIB_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(filter user/base/% user/capture/% user/assemble/match.c,$(LIB_SOURCES)))
$(BUILD)/tests/test_contexts: LDLIBS += $(EXPORT_CONTEXT)
$(BUILD)/tests/test_%: tests/bpf/test_%.c $(LIB_OBJECTS) | $(SKELS)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(filter-out -Wmissing-prototypes,$(CFLAGS)) -MMD -MP -MF $@.d -o $@ $< $(LIB_OBJECTS) $(LDLIBS) -lcmocka

# With delays in the gaps of the scan at start: a test's.
$(BUILD)/slow/scan.o: user/capture/scan.c $(SETTINGS) | $(SKELS)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -DFAULT_SLOW_SCAN $(CFLAGS) $(SANITIZE_FLAGS) -MMD -MP -c $< -o $@

$(BUILD)/tests/notail-slow-scan: $(BUILD)/slow/scan.o $(filter-out $(BUILD)/user/capture/scan.o,$(OBJECTS))
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(SANITIZE_FLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# From an archive, --as-needed: what runs in a small guest brings only the libraries that it uses.
$(BUILD)/bench/libnotail.a: $(filter-out $(BUILD)/user/main.o,$(OBJECTS))
	$(Q)mkdir -p $(@D)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $^

$(BUILD)/bench/%: tests/bench/capture/%.c $(BUILD)/bench/libnotail.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -MF $@.d -MT $@ -Wl,--as-needed -o $@ $< $(BUILD)/bench/libnotail.a $(LDLIBS)

$(BUILD)/bench/%: tests/bench/pipeline/%.c $(BUILD)/bench/libnotail.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(CPPFLAGS) $(filter-out -Wmissing-prototypes,$(CFLAGS)) -MMD -MP -MF $@.d -MT $@ -Wl,--as-needed -o $@ $< \
		$(BUILD)/bench/libnotail.a $(LDLIBS)

# Writers for the end-to-end tests run in containers without a C library: static. A name that ends in 32 is built -m32,
# one in _musl by musl-gcc, which finds the kernel's headers where glibc's are; dynamic_ says that one is not static.
# An SDK's variable has to be in the dynamic symbol table.
EXPORT_CONTEXT := -Wl,--export-dynamic-symbol=otel_thread_ctx_v1
$(BUILD)/tests/traced: LINKAGE := -static-pie $(EXPORT_CONTEXT)
MUSL_CC := musl-gcc -idirafter /usr/include -idirafter /usr/include/$(shell $(CC) -print-multiarch)
$(BUILD)/tests/%: tests/e2e/%.c
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(if $(filter %_musl,$*),$(MUSL_CC),$(CC)) $(if $(filter %32,$*),-m32) -O2 -g -Wall -Wextra -Werror -D_GNU_SOURCE $(or $(LINKAGE),$(if $(filter dynamic_%,$*),,-static)) -pthread \
		-MMD -MP -MF $@.d -MT $@ -o $@ $<

# A wall clock that a test can turn: preloaded into notail.
$(BUILD)/tests/turned_clock.so: tests/e2e/faults/turned_clock.c
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -O2 -g -Wall -Wextra -Werror -D_GNU_SOURCE -shared -fPIC -MMD -MP -MF $@.d -MT $@ -o $@ $< -ldl

# A library of Debian's packages is found as GOPATH has it, without the network.
$(BUILD)/tests/render: tests/helm/render.go
	$(call say,GO,$@)
	$(Q)mkdir -p $(@D)
	$(Q)GO111MODULE=off GOFLAGS= GOPATH=/usr/share/gocode GOCACHE=$(abspath $(BUILD))/go-cache go build -o $@ $<

$(BUILD)/tests/push: tests/receiver/push.c $(BUILD)/bench/libnotail.a
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(SANITIZE_FLAGS) -MMD -MP -MF $@.d -MT $@ -o $@ $< $(BUILD)/bench/libnotail.a $(LDLIBS)

$(BUILD)/tests/vm_soak: tests/vm/soak.c
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -O2 -g -Wall -Wextra -Werror -D_GNU_SOURCE -static -pthread -MMD -MP -MF $@.d -MT $@ -o $@ $<

-include $(shell find $(BUILD) -path $(BUILD)/vm -prune -o -name '*.d' -print 2>/dev/null)
