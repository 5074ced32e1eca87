/*
 * The switch for aarch64 (AAPCS64): x19 to x30, the low halves of v8 to v15, and the stack pointer.
 */
#include "lib/fiber_context_internal.h"

#include <stdint.h>

#define FRAME 160

/* In the order in which qs_fiber_context_swap takes them off the stack. */
struct frame {
	void *x29, *resume;
	void *x19; /* the entry */
	void *x20; /* the argument */
	void *x21, *x22, *x23, *x24, *x25, *x26, *x27, *x28;
	double d8, d9, d10, d11, d12, d13, d14, d15;
};
_Static_assert(sizeof(struct frame) == FRAME, "as the assembly has it");

void qs_fiber_context_start(void);

/* hint 34 is `bti c`. That the return address of the first frame is undefined ends a backtrace. */
__asm__(".text\n"
        ".p2align 4\n"
        ".globl qs_fiber_context_swap\n"
        ".hidden qs_fiber_context_swap\n"
        ".type qs_fiber_context_swap, %function\n"
        "qs_fiber_context_swap:\n"
        "	.cfi_startproc\n"
        "	hint #34\n"
        "	stp x29, x30, [sp, #-160]!\n"
        "	.cfi_adjust_cfa_offset 160\n"
        "	.cfi_rel_offset x29, 0\n"
        "	.cfi_rel_offset x30, 8\n"
        "	stp x19, x20, [sp, #16]\n"
        "	.cfi_rel_offset x19, 16\n"
        "	.cfi_rel_offset x20, 24\n"
        "	stp x21, x22, [sp, #32]\n"
        "	.cfi_rel_offset x21, 32\n"
        "	.cfi_rel_offset x22, 40\n"
        "	stp x23, x24, [sp, #48]\n"
        "	.cfi_rel_offset x23, 48\n"
        "	.cfi_rel_offset x24, 56\n"
        "	stp x25, x26, [sp, #64]\n"
        "	.cfi_rel_offset x25, 64\n"
        "	.cfi_rel_offset x26, 72\n"
        "	stp x27, x28, [sp, #80]\n"
        "	.cfi_rel_offset x27, 80\n"
        "	.cfi_rel_offset x28, 88\n"
        "	stp d8, d9, [sp, #96]\n"
        "	stp d10, d11, [sp, #112]\n"
        "	stp d12, d13, [sp, #128]\n"
        "	stp d14, d15, [sp, #144]\n"
        "	mov x9, sp\n"
        "	str x9, [x0]\n"
        "	mov sp, x1\n"
        "	ldp x19, x20, [sp, #16]\n"
        "	ldp x21, x22, [sp, #32]\n"
        "	ldp x23, x24, [sp, #48]\n"
        "	ldp x25, x26, [sp, #64]\n"
        "	ldp x27, x28, [sp, #80]\n"
        "	ldp d8, d9, [sp, #96]\n"
        "	ldp d10, d11, [sp, #112]\n"
        "	ldp d12, d13, [sp, #128]\n"
        "	ldp d14, d15, [sp, #144]\n"
        "	ldp x29, x30, [sp], #160\n"
        "	.cfi_adjust_cfa_offset -160\n"
        "	.cfi_same_value x29\n"
        "	.cfi_same_value x30\n"
        "	.cfi_same_value x19\n"
        "	.cfi_same_value x20\n"
        "	.cfi_same_value x21\n"
        "	.cfi_same_value x22\n"
        "	.cfi_same_value x23\n"
        "	.cfi_same_value x24\n"
        "	.cfi_same_value x25\n"
        "	.cfi_same_value x26\n"
        "	.cfi_same_value x27\n"
        "	.cfi_same_value x28\n"
        "	ret\n"
        "	.cfi_endproc\n"
        ".size qs_fiber_context_swap, .-qs_fiber_context_swap\n"
        ".p2align 4\n"
        ".globl qs_fiber_context_start\n"
        ".hidden qs_fiber_context_start\n"
        ".type qs_fiber_context_start, %function\n"
        "qs_fiber_context_start:\n"
        "	.cfi_startproc\n"
        "	.cfi_undefined x30\n"
        "	mov x0, x20\n"
        "	blr x19\n"
        "	brk #1\n"
        "	.cfi_endproc\n"
        ".size qs_fiber_context_start, .-qs_fiber_context_start\n");

void *qs_fiber_context_prepare(void *base, size_t size, void (*entry)(void *), void *argument)
{
	uintptr_t top = ((uintptr_t)base + size) & ~(uintptr_t)15;
	struct frame *frame = (struct frame *)(top - sizeof(struct frame));

	*frame = (struct frame){
		.x19 = (void *)entry,
		.x20 = argument,
		.resume = (void *)qs_fiber_context_start,
	};
	return frame;
}
