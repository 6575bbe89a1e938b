// Tensors as the operators of libopapi.so see them.
#pragma once

#include <functional>
#include <vector>

#include "runtime.h"

namespace acl_stand_in {

using Index = std::vector<int64_t>;

// Calls f with every index of an array of these sizes, the last dimension fastest.
template <class F>
void for_each_index(const std::vector<int64_t>& sizes, F f) {
    Index index(sizes.size(), 0);
    for (const int64_t size : sizes) {
        if (size == 0) return;
    }
    for (;;) {
        f(index);
        size_t d = sizes.size();
        while (d > 0 && ++index[d - 1] == sizes[d - 1]) index[--d] = 0;
        if (d == 0) return;
    }
}

}  // namespace acl_stand_in

struct aclTensor {
    char* data;
    int type;
    std::vector<int64_t> sizes, strides;  // in elements
    int64_t offset;

    double get(const acl_stand_in::Index& index) const;
    void set(const acl_stand_in::Index& index, double value) const;
    // The element that an index of a larger array falls on: dimensions of size 1 repeat.
    double broadcast(const acl_stand_in::Index& index) const;
    // Entry n of a list of positions in a dimension of `size`.
    int64_t at(int64_t n, int64_t size) const;
    size_t dim(int64_t d) const { return d < 0 ? d + sizes.size() : d; }

  private:
    void* address(const acl_stand_in::Index& index) const;
};

struct aclScalar {
    double value;
};

struct aclIntArray {
    std::vector<int64_t> values;
};

struct aclTensorList {
    std::vector<const aclTensor*> tensors;
};

struct aclOpExecutor {
    std::function<void()> run;
};
