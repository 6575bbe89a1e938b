#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 takes the undefined operands in its own AVX-512 headers for mistakes.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#define NT_ISA avx512
#include "simd_avx512.h"
//
#include "isa.h"
#include "kernels.h"

namespace neumann_tril {
extern const Isa kAvx512 = NT_ISA::make_isa("avx512");
}
