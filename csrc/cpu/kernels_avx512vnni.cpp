#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 takes the undefined operands in its own AVX-512 headers for mistakes.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#define NT_ISA avx512vnni
#include "simd_avx512.h"
//
#include "isa.h"
#include "quantized/inversion.h"

namespace neumann_tril {
extern const QuantizedKernels kAvx512Vnni = NT_ISA::make_quantized();
}
