//go:build !noasm

#include "textflag.h"
#include "go_asm.h"

#define KERNEL ·avx512Float64
#define MOVU   VMOVUPD
#define BCAST  VBROADCASTSD
#define FMA    VFMADD231PD
#define ADDP   VADDPD
#include "kernel_avx512.h"
