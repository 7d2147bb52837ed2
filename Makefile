# SPDX-License-Identifier: Apache-2.0
#
# amber: make demo, make check; see README.md. Products go to build/.

PREFIX ?= /usr/local
DESTDIR ?=
CC ?= gcc
CLANG ?= clang
OUT ?= build
OPT ?= -O2 -g
WERROR ?=
SANITIZE ?=

WARN := -Wall -Wextra -Wshadow -Wcast-qual -Wpointer-arith -Wwrite-strings \
	-Wundef -Wvla -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes \
	-Wimplicit-fallthrough -Wnull-dereference
HARDEN := -fstack-protector-strong -D_FORTIFY_SOURCE=2
# A test build that can die where a test wants it: base/kill_point.h.
DEFINES ?=
CFLAGS := -std=gnu11 -D_GNU_SOURCE -I. $(DEFINES) $(OPT) $(WARN) $(WERROR) \
	$(SANITIZE) -pthread -MMD -MP

# make V=1 shows the commands.
V ?= 0
ifeq ($(V),0)
.SILENT:
endif

.DEFAULT_GOAL := all

LAYERS := base disk devices vmm snapshot clone control
MAINS := control/cli/cli_main.c control/vmm_main.c
# The command line's own files: amber-vmm must not wait for them.
CLI_SRC := $(filter-out $(MAINS),$(wildcard control/cli/*.c))
SRC := $(filter-out $(MAINS),$(wildcard $(LAYERS:%=%/*.c)))
OBJ := $(SRC:%.c=$(OUT)/obj/%.o)
CLI_OBJ := $(CLI_SRC:%.c=$(OUT)/obj/%.o)
LIB := $(OUT)/libamber.a
CLI_LIB := $(OUT)/libamber-cli.a

# amber-vmm is linked statically: the dynamic linker would cost more than all
# the rest of a start (docs/decisions/0002). TLS is never used: the symbols
# that libmicrohttpd.a wants of a TLS library are all set to one function.
MHD_A := $(firstword $(wildcard /usr/lib/*/libmicrohttpd.a /usr/lib/libmicrohttpd.a))
NO_TLS = $(shell nm -u $(MHD_A) 2>/dev/null | sed -n \
	's/^ *U \(gnutls_[a-z0-9_]*\)$$/-Wl,--defsym=\1=amber_no_tls/p' | sort -u)
LIBS_STATIC = -static -Wl,-u,amber_no_tls -lmicrohttpd $(NO_TLS) -ljansson -lz -lzstd -l:liburing.a -pthread
LIBS_TEST = -lcheck -lsubunit -lmicrohttpd -ljansson -lz -lzstd -l:liburing.a -lm -lrt -pthread -ldl
LIBS_CLI = -ljansson -lz -lzstd -l:liburing.a -pthread -ldl

.PHONY: all
all: $(OUT)/amber-vmm $(OUT)/amber guests

include guest-images/guests.mk
include guest-images/linux/linux.mk

$(OUT)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(HARDEN) -c -o $@ $<

$(LIB): $(OBJ)
	rm -f $@
	$(AR) rcs $@ $^

$(CLI_LIB): $(CLI_OBJ)
	rm -f $@
	$(AR) rcs $@ $^

$(OUT)/amber-vmm: $(OUT)/obj/control/vmm_main.o $(LIB)
	$(CC) $(SANITIZE) -o $@ $^ $(LIBS_VMM)

LIBS_VMM ?= $(LIBS_STATIC)

$(OUT)/amber: $(OUT)/obj/control/cli/cli_main.o $(CLI_LIB) $(LIB)
	$(CC) $(SANITIZE) -o $@ $^ $(LIBS_CLI)

# --- documents from the tables, installation ---------------------------------
MAN := $(OUT)/man
DATA := $(DESTDIR)$(PREFIX)/share
UNITS := $(DESTDIR)$(PREFIX)/lib/systemd/system

.PHONY: man docs install
man: $(OUT)/amber
	@mkdir -p $(MAN)
	$(OUT)/amber gen man $(MAN)

docs: $(OUT)/amber
	$(OUT)/amber gen docs docs

install: $(OUT)/amber $(OUT)/amber-vmm man
	install -d $(DESTDIR)$(PREFIX)/bin $(DATA)/man/man1 \
		$(DATA)/bash-completion/completions \
		$(DATA)/zsh/site-functions $(DATA)/fish/vendor_completions.d \
		$(UNITS)
	install -m 755 $(OUT)/amber $(OUT)/amber-vmm $(DESTDIR)$(PREFIX)/bin
	install -m 644 $(MAN)/*.1 $(DATA)/man/man1
	for unit in docs/systemd/amber-policy.*; do \
		sed 's,/usr/local,$(PREFIX),' $$unit >$(UNITS)/$${unit##*/}; done
	$(OUT)/amber completion bash >$(DATA)/bash-completion/completions/amber
	$(OUT)/amber completion zsh >$(DATA)/zsh/site-functions/_amber
	$(OUT)/amber completion fish >$(DATA)/fish/vendor_completions.d/amber.fish

# --- tests -----------------------------------------------------------------
UNIT := $(patsubst tests/unit/%.c,$(OUT)/unit/%,$(wildcard tests/unit/test_*.c))

$(OUT)/unit/%: tests/unit/%.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -Wno-null-dereference -o $@ $< $(LIB) $(LIBS_TEST)

.PHONY: unit
unit: $(UNIT)

# Layers that come and go, for tests/kill.
$(OUT)/kill_layers: tests/kill/layers.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $< $(LIB) -lz -lzstd -l:liburing.a -pthread

-include $(shell find $(OUT)/obj $(OUT)/unit -name '*.d' 2>/dev/null)

# --- sanitizers and fuzzers: the same tree, built elsewhere -----------------
ASAN := -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
TSAN := -fsanitize=thread
LIBS_DYNAMIC = -lmicrohttpd -ljansson -lz -lzstd -l:liburing.a -pthread

# Lines for the reports, and nothing else for a debugger: a third less to build.
QUICK := -O1 -gline-tables-only
.PHONY: asan-build tsan-build fuzz-build
asan-build: guests
	$(MAKE) OUT=build/asan CC=$(CLANG) OPT='$(QUICK)' SANITIZE='$(ASAN)' \
		DEFINES=-DAMBER_KILL_POINTS HARDEN= \
		LIBS_VMM='$(LIBS_DYNAMIC)' build/asan/amber-vmm \
		build/asan/amber build/asan/kill_layers unit

tsan-build: guests
	$(MAKE) OUT=build/tsan CC=$(CLANG) OPT='$(QUICK)' SANITIZE='$(TSAN)' \
		HARDEN= LIBS_VMM='$(LIBS_DYNAMIC)' build/tsan/amber-vmm \
		build/tsan/amber unit

fuzz-build:
	$(MAKE) OUT=build/fuzz CC=$(CLANG) OPT='$(QUICK)' HARDEN= \
		SANITIZE='-fsanitize=fuzzer-no-link,address,undefined' fuzzers

FUZZERS := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))

.PHONY: fuzzers
fuzzers: $(FUZZERS)

build/fuzz/fuzz_%: tests/fuzz/fuzz_%.c $(LIB)
	$(CC) $(CFLAGS) -fsanitize=fuzzer -o $@ $< $(LIB) $(LIBS_DYNAMIC) -lm

# make fuzz FUZZ_SECONDS=60
.PHONY: asan tsan fuzz
asan: asan-build
	tests/check.sh unit@build/asan boot@build/asan cli@build/asan model@build/asan

tsan: tsan-build
	tests/check.sh unit@build/tsan model@build/tsan

fuzz: fuzz-build
	tests/check.sh fuzz

# --- figures beside the peers -------------------------------------------------
BENCH_SRC := $(wildcard tests/bench/bare*.c)

$(OUT)/bench/bare: $(BENCH_SRC) tests/bench/bare.h devices/platform.h
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $(BENCH_SRC)

# build/bench/ioq FILE BYTES: docs/decisions/0010
$(OUT)/bench/ioq: tests/bench/ioq.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $< $(LIB) -luring

# The block device, driven without a guest; its rig is the unit tests'.
$(OUT)/bench/inject: tests/bench/inject.c tests/unit/virtio_rig.h $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $< $(LIB) -lz -lzstd -l:liburing.a

# Layers put on a disk, without a guest.
$(OUT)/bench/overlay: tests/bench/overlay.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $< $(LIB) -lz -lzstd -l:liburing.a -pthread

$(OUT)/bench/%: tests/bench/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $<

# make bench BENCH="--quick start": see tests/bench/bench.py
BENCH ?=
.PHONY: bench
bench: $(OUT)/amber-vmm $(OUT)/amber guests $(OUT)/bench/bare \
		$(OUT)/bench/launch $(OUT)/bench/talk $(OUT)/bench/inject \
		$(OUT)/bench/frames $(OUT)/bench/overlay
	python3 -B tests/bench/bench.py $(BENCH)

# --- what a fresh Debian 12 machine needs -----------------------------------
DEPS := gcc make libc6-dev binutils pkg-config libmicrohttpd-dev \
	libjansson-dev zlib1g-dev libzstd-dev libcurl4-openssl-dev python3 busybox-static \
	kmod zstd lz4 xz-utils clang libclang-rt-14-dev clang-format cppcheck \
	shellcheck check libsubunit-dev acpica-tools qemu-system-x86 curl \
	liburing-dev libxxhash-dev passt e2fsprogs xfsprogs fio socat qemu-utils iproute2

.PHONY: deps
deps:
	tests/deps.sh $(DEPS)

# --- the suite ---------------------------------------------------------------
SUITES := unit boot cli model rig unit@build/asan boot@build/asan \
	cli@build/asan model@build/asan kill@build/asan unit@build/tsan \
	model@build/tsan fuzz

.PHONY: check check-long lint
check: $(OUT)/amber-vmm $(OUT)/amber guests unit lint asan-build tsan-build \
		fuzz-build
	tests/check.sh $(SUITES)

# A process that is stopped and continued wakes up: not test_rest.py.
STALLED := $(filter-out %/test_rest.py,\
	$(wildcard tests/cli/test_*.py tests/boot/test_*.py tests/model/test_*.py))

# The same and more of it: hours of a machine's time, not minutes.
check-long: check
	python3 -B tests/model/test_lifecycle.py --steps 200000
	OUT=build/asan python3 -B tests/model/test_lifecycle.py --steps 50000
	python3 -B tests/boot/test_reload.py --rounds 40
	OUT=build/asan python3 -B tests/boot/test_reload.py --rounds 10
	OUT=build/asan python3 -B tests/boot/evil_sweep.py --seconds 600
	python3 -B tests/stall.py $(STALLED)
	OUT=build/asan python3 -B tests/stall.py $(STALLED)
	python3 -B tests/rig/test_disk_guest.py
	python3 -B tests/rig/run_rig_tests.py --only disk --only qcow2 --fio-mib 8
	python3 -B tests/rig/run_rig_tests.py --only snapshot --cycles 100
	OUT=$(OUT) python3 -B tests/kill/test_kill_storm.py --kills 10000
	CRASH_STATES=1000000 $(OUT)/unit/test_qcow2_crash
	TWIN_STEPS=20000 TWIN_SEED=1000 $(OUT)/unit/test_qcow2_twin
	STORM_STEPS=20000 $(OUT)/unit/test_qcow2_storm
	TRACK_STEPS=300 TRACK_SEED=1000 $(OUT)/unit/test_ram_track
	REWIND_STEPS=2000 REWIND_SEED=1000 $(OUT)/unit/test_overlay_rewind
	LAYERS_STEPS=20000 LAYERS_SEED=1000 $(OUT)/unit/test_qcow2_layers
	python3 -B tests/model/test_layers.py --seconds 600
	DIFFER_CASES=20000 python3 -B tests/cli/test_disk_golden.py
	FUZZ_SECONDS=600 tests/check.sh fuzz

lint:
	tests/lint.sh

.PHONY: fmt
fmt:
	clang-format -i $$(git ls-files --cached --others --exclude-standard \
		'*.c' '*.h')

.PHONY: demo
demo: deps
	$(MAKE) all guests-linux guests-linux-disk
	tests/demo.sh
