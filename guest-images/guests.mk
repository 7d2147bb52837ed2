# SPDX-License-Identifier: Apache-2.0
# Tiny guest kernels: build/guests/NAME.elf for every guest-images/guests/*.c.
# Included by the top Makefile, or by itself from the project's root:
#   make -f guest-images/guests.mk guests

GUEST_CC ?= $(CC)
GUEST_AR ?= $(AR)
GUEST_OUT := build/guests
GUEST_OBJ := build/guests/obj

# Code that kvm_pvm's emulator knows: x86-64-v1, general registers only.
GUEST_CFLAGS := -std=gnu11 -O2 -march=x86-64 -mgeneral-regs-only -mno-sse \
	-mno-red-zone -ffreestanding -fno-stack-protector -fno-pic -fno-pie \
	-fcf-protection=none -fno-asynchronous-unwind-tables \
	-ffunction-sections -fdata-sections -fno-strict-aliasing \
	-mcmodel=small -I. -Wall -Wextra -Wshadow -Wcast-qual -Wpointer-arith \
	-Wwrite-strings -Wundef -Wvla -Wformat=2 -Wstrict-prototypes \
	-Wmissing-prototypes -Wimplicit-fallthrough -Wnull-dereference
GUEST_LDFLAGS := -nostdlib -static -Wl,-n -Wl,--gc-sections \
	-Wl,--build-id=none -Wl,-z,noexecstack -Wl,-T,guest-images/guest.ld \
	-Wl,--no-warn-rwx-segments -s

GUEST_NAMES := $(sort $(basename $(notdir $(wildcard guest-images/guests/*.c))))
GUEST_ELFS := $(GUEST_NAMES:%=$(GUEST_OUT)/%.elf)
GUEST_RT_OBJS := $(patsubst guest-images/runtime/%,$(GUEST_OBJ)/rt/%.o, \
	$(basename $(wildcard guest-images/runtime/*.[cS])))
GUEST_RT := $(GUEST_OBJ)/runtime.a

.PHONY: guests guests-clean
guests: $(GUEST_ELFS)

guests-clean:
	rm -rf $(GUEST_OBJ) $(GUEST_ELFS)

$(GUEST_OUT)/%.elf: $(GUEST_OBJ)/%.o $(GUEST_RT) guest-images/guest.ld
	$(GUEST_CC) $(GUEST_LDFLAGS) -o $@ $< $(GUEST_RT)

$(GUEST_RT): $(GUEST_RT_OBJS)
	rm -f $@
	$(GUEST_AR) rcs $@ $^

$(GUEST_OBJ)/%.o: guest-images/guests/%.c guest-images/guests.mk
	@mkdir -p $(@D)
	$(GUEST_CC) $(GUEST_CFLAGS) $(GUEST_WERROR) -MMD -MP -c -o $@ $<

$(GUEST_OBJ)/rt/%.o: guest-images/runtime/%.c guest-images/guests.mk
	@mkdir -p $(@D)
	$(GUEST_CC) $(GUEST_CFLAGS) $(GUEST_WERROR) -MMD -MP -c -o $@ $<

$(GUEST_OBJ)/rt/%.o: guest-images/runtime/%.S guest-images/guests.mk
	@mkdir -p $(@D)
	$(GUEST_CC) $(GUEST_CFLAGS) -MMD -MP -c -o $@ $<

-include $(wildcard $(GUEST_OBJ)/*.d $(GUEST_OBJ)/rt/*.d)
