// fibre.h: switching between stacks on x86-64, by the System V ABI.
#pragma once
#ifndef __x86_64__
#error "the fibres are written for x86-64 only"
#endif

// fibre_switch saves the place of the caller in *from and goes on at to.
extern "C" void fibre_switch(void** from, void* to);
asm(R"(
.text
.hidden fibre_switch
.globl fibre_switch
.type fibre_switch, @function
fibre_switch:
	push %rbp
	push %rbx
	push %r12
	push %r13
	push %r14
	push %r15
	mov %rsp, (%rdi)
	mov %rsi, %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbx
	pop %rbp
	ret
.size fibre_switch, .-fibre_switch
)");

// fibre_new prepares a stack, whose top is aligned to 16 bytes, so that a switch to the result calls main, which never
// returns.
inline void* fibre_new(char* top, void (*main)()) {
	void** p = (void**)top;
	*--p = nullptr;  // main's return address: rsp is 8 off a multiple of 16 at its entry
	*--p = (void*)main;
	for (int i = 0; i < 6; i++) *--p = nullptr;
	return p;
}
