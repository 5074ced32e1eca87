/*
 * The switch for x86-64 (System V): six registers and the stack pointer.
 *
 * It goes on by a jump and not by a return: the processor predicts a return from its own stack of
 * calls, which is that of the context just left, so a return would be mispredicted every time.
 */
#include "lib/fiber_context_internal.h"

#include <stdint.h>

/* In the order in which qs_fiber_context_swap takes them off the stack. */
struct frame {
	void *r15, *r14;
	void *r13; /* the argument */
	void *r12; /* the entry */
	void *rbx, *rbp;
	void *resume;
	void *end[2]; /* as a call wants the stack: at a multiple of 16 */
};

void qs_fiber_context_start(void);

/* That the return address of the first frame is undefined is what ends a backtrace. */
__asm__(".text\n"
        ".p2align 4\n"
        ".globl qs_fiber_context_swap\n"
        ".hidden qs_fiber_context_swap\n"
        ".type qs_fiber_context_swap, @function\n"
        "qs_fiber_context_swap:\n"
        "	.cfi_startproc\n"
        "	pushq %rbp\n"
        "	.cfi_adjust_cfa_offset 8\n"
        "	.cfi_rel_offset %rbp, 0\n"
        "	pushq %rbx\n"
        "	.cfi_adjust_cfa_offset 8\n"
        "	.cfi_rel_offset %rbx, 0\n"
        "	pushq %r12\n"
        "	.cfi_adjust_cfa_offset 8\n"
        "	.cfi_rel_offset %r12, 0\n"
        "	pushq %r13\n"
        "	.cfi_adjust_cfa_offset 8\n"
        "	.cfi_rel_offset %r13, 0\n"
        "	pushq %r14\n"
        "	.cfi_adjust_cfa_offset 8\n"
        "	.cfi_rel_offset %r14, 0\n"
        "	pushq %r15\n"
        "	.cfi_adjust_cfa_offset 8\n"
        "	.cfi_rel_offset %r15, 0\n"
        "	movq %rsp, (%rdi)\n"
        "	movq %rsi, %rsp\n"
        "	popq %r15\n"
        "	.cfi_adjust_cfa_offset -8\n"
        "	.cfi_same_value %r15\n"
        "	popq %r14\n"
        "	.cfi_adjust_cfa_offset -8\n"
        "	.cfi_same_value %r14\n"
        "	popq %r13\n"
        "	.cfi_adjust_cfa_offset -8\n"
        "	.cfi_same_value %r13\n"
        "	popq %r12\n"
        "	.cfi_adjust_cfa_offset -8\n"
        "	.cfi_same_value %r12\n"
        "	popq %rbx\n"
        "	.cfi_adjust_cfa_offset -8\n"
        "	.cfi_same_value %rbx\n"
        "	popq %rbp\n"
        "	.cfi_adjust_cfa_offset -8\n"
        "	.cfi_same_value %rbp\n"
        "	popq %rcx\n"
        "	.cfi_adjust_cfa_offset -8\n"
        "	.cfi_register %rip, %rcx\n"
        "	jmp *%rcx\n"
        "	.cfi_endproc\n"
        ".size qs_fiber_context_swap, .-qs_fiber_context_swap\n"
        ".p2align 4\n"
        ".globl qs_fiber_context_start\n"
        ".hidden qs_fiber_context_start\n"
        ".type qs_fiber_context_start, @function\n"
        "qs_fiber_context_start:\n"
        "	.cfi_startproc\n"
        "	.cfi_undefined %rip\n"
        "	movq %r13, %rdi\n"
        "	call *%r12\n"
        "	ud2\n"
        "	.cfi_endproc\n"
        ".size qs_fiber_context_start, .-qs_fiber_context_start\n");

void *qs_fiber_context_prepare(void *base, size_t size, void (*entry)(void *), void *argument)
{
	uintptr_t top = ((uintptr_t)base + size) & ~(uintptr_t)15;
	struct frame *frame = (struct frame *)(top - sizeof(struct frame));

	*frame = (struct frame){
		.r13 = argument,
		.r12 = (void *)entry,
		.resume = (void *)qs_fiber_context_start,
	};
	return frame;
}
