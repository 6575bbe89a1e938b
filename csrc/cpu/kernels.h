// The kernels of one instruction set. A source file per set defines NT_ISA, its namespace, so that
// code compiled for one machine is never linked into another's, and includes its vectors first.
#pragma once

#include "quantized/inversion.h"
#include "truncated.h"

namespace neumann_tril::NT_ISA {

template <class T, class... E>
constexpr Kernels make_kernels() {
    return {sizeof(T),
            invert_exact<T>,
            invert_truncated<T>,
            kExactScratch<T>,
            kTruncatedScratch<T>,
            {{load_rows<T, E>...},
             {store_rows<T, E, false>...},
             {store_rows<T, E, kVectorIO<T, E>>...},
             fence}};
}

// In float32 no operand is a float64.
constexpr Isa make_isa(const char* name) {
    return {name, make_kernels<float, Half, BFloat16, float>(),
            make_kernels<double, Half, BFloat16, float, double>(), make_quantized()};
}

}  // namespace neumann_tril::NT_ISA
