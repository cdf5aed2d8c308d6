//go:build !noasm

#include "textflag.h"
#include "go_asm.h"

#define KERNEL ·avx512Float32
#define MOVU   VMOVUPS
#define BCAST  VBROADCASTSS
#define FMA    VFMADD231PS
#define ADDP   VADDPS
#include "kernel_avx512.h"
