// The element types that the matrix side takes, by architecture.
#pragma once

#include "ascendc/types.h"

namespace emulator {

// dav-2201 takes int4b_t besides.
template <typename List>
using WithInt4 = ByArch<typename Extended<List, AscendC::int4b_t>::List, List>;

using Elements =
    TypeList<int8_t, uint8_t, int16_t, uint16_t, half, bfloat16_t, int32_t, uint32_t, float>;
using LoadTypes = WithInt4<Elements>;
using Nd2NzTypes = WithInt4<Extended<Elements, bool>::List>;
// Loads that do more than move whole fractals.
using RearrangedTypes =
    WithInt4<TypeList<int8_t, uint8_t, half, bfloat16_t, int32_t, uint32_t, float>>;

// Products: C, of A and B.
using MultipliedWithBias = TypeList<float(half, half), float(bfloat16_t, bfloat16_t),
                                    float(float, float), int32_t(int8_t, int8_t)>;
using Multiplied =
    ByArch<Extended<MultipliedWithBias, int32_t(AscendC::int4b_t, AscendC::int4b_t)>::List,
           MultipliedWithBias>;
template <typename C, typename A, typename B, typename Products>
constexpr void require_mmad_types() {
    require_type<C(A, B), Products>();
}

}  // namespace emulator
