#define NT_ISA avx2
#include "simd_avx2.h"
//
#include "isa.h"
#include "kernels.h"

namespace neumann_tril {
extern const Isa kAvx2 = NT_ISA::make_isa("avx2");
}
