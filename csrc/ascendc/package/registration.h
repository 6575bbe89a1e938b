// What the custom operators of this package have in common: dtypes by CANN's codes and by name, and
// how a call is refused.
#pragma once

#include <cstdio>
#include <cstring>

#include "neumann_tril_npu.h"
#include "register/op_def_registry.h"
#include "tiling/platform/platform_ascendc.h"

namespace neumann_tril {

struct Dtype {
    const char* name;
    ge::DataType ge;
    int32_t code;
};
constexpr Dtype kDtypes[] = {{"float16", ge::DT_FLOAT16, NT_FLOAT16},
                             {"bfloat16", ge::DT_BF16, NT_BFLOAT16},
                             {"float32", ge::DT_FLOAT, NT_FLOAT32}};

constexpr int32_t kNoDtype = -2;  // one that the kernels do not know

inline int32_t DtypeCode(ge::DataType dtype) {
    for (const Dtype& known : kDtypes) {
        if (known.ge == dtype) return known.code;
    }
    return kNoDtype;
}

// The dtype of that name, the default for an empty one; nullptr if there is none of that name.
inline const Dtype* DtypeNamed(const char* name, int32_t default_code) {
    for (const Dtype& known : kDtypes) {
        if (*name == '\0' ? known.code == default_code : std::strcmp(known.name, name) == 0) {
            return &known;
        }
    }
    return nullptr;
}

inline ge::graphStatus Refuse(const char* type, const char* reason) {
    std::fprintf(stderr, "%s: %s\n", type, reason);
    return ge::GRAPH_FAILED;
}

}  // namespace neumann_tril
