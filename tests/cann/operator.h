// What the programs that test the custom operators have in common.
#pragma once

#include <cstdio>
#include <memory>
#include <vector>

#include "neumann_tril.h"
#include "register/op_def_registry.h"

inline int failures = 0;
#define CHECK(condition)                                                \
    do {                                                                \
        if (!(condition)) {                                             \
            std::printf("%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            ++failures;                                                 \
        }                                                               \
    } while (0)

inline std::unique_ptr<gert::StorageShape> Storage(const std::vector<int64_t>& dims) {
    return dims.empty() ? nullptr : std::make_unique<gert::StorageShape>(gert::Shape(dims));
}

inline int32_t Code(ge::DataType dtype) {
    return dtype == ge::DT_FLOAT16 ? NT_FLOAT16 : dtype == ge::DT_BF16 ? NT_BFLOAT16 : NT_FLOAT32;
}
