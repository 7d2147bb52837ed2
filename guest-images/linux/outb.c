/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outb PORT VALUE: write one byte to an I/O port, from user space.
 *
 * The stock cloud kernel has no /dev/port (CONFIG_DEVPORT is off), so the
 * initramfs scripts reach the milestone and debug-exit ports through this
 * program. It is freestanding: no libc, one page of code, because in the rig
 * every instruction is emulated. One thread; nothing is kept between runs.
 * Exit status: 0 written, 1 no permission for ports, 2 wrong arguments.
 */

enum { SYS_IOPL = 172 };
enum { EXIT_DONE = 0, EXIT_NO_PERMISSION = 1, EXIT_USAGE = 2 };

/* Called by the entry code below with the stack the kernel handed over. */
int outb_main(const long *stack);

static long syscall1(long nr, long arg)
{
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(arg)
			 : "rcx", "r11", "memory");
	return ret;
}

/* Value of a digit in base 16, or 16 when the character is not a digit. */
static unsigned int digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned int)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned int)(c - 'a') + 10;
	if (c >= 'A' && c <= 'F')
		return (unsigned int)(c - 'A') + 10;
	return 16;
}

/* Decimal, or hexadecimal after 0x. -1: not a number, or above max. */
static long parse(const char *s, long max)
{
	unsigned int base = 10;
	long value = 0;

	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
		base = 16;
		s += 2;
	}
	if (!*s)
		return -1;
	for (; *s; s++) {
		if (digit(*s) >= base)
			return -1;
		value = value * base + digit(*s);
		if (value > max)
			return -1;
	}
	return value;
}

int outb_main(const long *stack)
{
	const char *const *argv = (const char *const *)(stack + 1);
	long port, value;

	if (stack[0] != 3)
		return EXIT_USAGE;
	port = parse(argv[1], 0xffff);
	value = parse(argv[2], 0xff);
	if (port < 0 || value < 0)
		return EXIT_USAGE;
	if (syscall1(SYS_IOPL, 3) != 0)
		return EXIT_NO_PERMISSION;
	__asm__ volatile("outb %b0, %w1" : : "a"(value), "d"(port));
	return EXIT_DONE;
}

__asm__(".globl _start\n"
	"_start:\n"
	"	mov %rsp, %rdi\n"
	"	and $-16, %rsp\n"
	"	call outb_main\n"
	"	mov %eax, %edi\n"
	"	mov $60, %eax\n"
	"	syscall\n");
