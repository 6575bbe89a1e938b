#define NT_ISA neon
#include "simd_neon.h"
//
#include "isa.h"
#include "kernels.h"

namespace neumann_tril {
extern const Isa kNeon = NT_ISA::make_isa("neon");
}
