// The instruction sets of this build and the one that is used.
#pragma once

#include "job.h"

namespace neumann_tril {

extern const Isa kPortable;
extern const Isa kAvx2;
extern const Isa kAvx512;
extern const Isa kNeon;
extern const QuantizedKernels kAvx512Vnni;

// The best set this machine has, or the lower one that the environment variable NEUMANN_TRIL_ISA
// names (portable, avx2, avx512, neon). A set that is unknown, or that the machine or this build
// lacks, is ignored; nt_cpu_isa tells which is used. Read once, at the first call.
const Isa& isa();

// The kernels of the quantised inverse for isa(): with AVX-512, those that use VNNI if the machine
// has it.
const QuantizedKernels& quantized_kernels();

}  // namespace neumann_tril
