//go:build !noasm

#include "textflag.h"
#include "go_asm.h"

#define KERNEL ·avx2Float32
#define MOVU   VMOVUPS
#define BCAST  VBROADCASTSS
#define FMA    VFMADD231PS
#define ADDP   VADDPS
#include "kernel_avx2.h"
