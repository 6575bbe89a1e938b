#define NT_ISA portable
#include "simd_portable.h"
//
#include "isa.h"
#include "kernels.h"

namespace neumann_tril {
extern const Isa kPortable = NT_ISA::make_isa("portable");
}
