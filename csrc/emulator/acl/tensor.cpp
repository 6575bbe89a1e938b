#include <cmath>
#include <cstring>

#include "operators.h"
#include "scalar_types.h"

namespace acl_stand_in {

namespace {

// Element types as the runtime numbers them.
enum Type {
    kFloat = 0,
    kHalf = 1,
    kInt8 = 2,
    kInt32 = 3,
    kUint8 = 4,
    kInt64 = 9,
    kDouble = 11,
    kBool = 12,
    kBfloat16 = 27
};

size_t bytes_of(int type) {
    switch (type) {
        case kInt8:
        case kUint8:
        case kBool:
            return 1;
        case kHalf:
        case kBfloat16:
            return 2;
        case kFloat:
        case kInt32:
            return 4;
        case kInt64:
        case kDouble:
            return 8;
    }
    stop("tensors of the runtime's type %d are not modelled", type);
}

template <class T>
T read(const void* address) {
    T value;
    std::memcpy(&value, address, sizeof value);
    return value;
}

template <class T>
void write(void* address, T value) {
    std::memcpy(address, &value, sizeof value);
}

double load(const void* address, int type) {
    switch (type) {
        case kInt8:
            return read<int8_t>(address);
        case kUint8:
        case kBool:
            return read<uint8_t>(address);
        case kHalf:
            return emulator::float_of_half_bits(read<uint16_t>(address));
        case kBfloat16:
            return emulator::float_of_bfloat16_bits(read<uint16_t>(address));
        case kFloat:
            return read<float>(address);
        case kInt32:
            return read<int32_t>(address);
        case kInt64:
            return static_cast<double>(read<int64_t>(address));
        default:
            return read<double>(address);
    }
}

void store(void* address, int type, double value) {
    const auto narrow = static_cast<float>(value);
    switch (type) {
        case kInt8:
            return write(address, static_cast<int8_t>(value));
        case kUint8:
            return write(address, static_cast<uint8_t>(value));
        case kBool:
            return write(address, static_cast<uint8_t>(value != 0));
        case kHalf:
            return write(address, emulator::half_bits(narrow));
        case kBfloat16:
            return write(address, emulator::bfloat16_bits(narrow));
        case kFloat:
            return write(address, narrow);
        case kInt32:
            return write(address, static_cast<int32_t>(value));
        case kInt64:
            return write(address, static_cast<int64_t>(value));
        default:
            return write(address, value);
    }
}

}  // namespace

}  // namespace acl_stand_in

using namespace acl_stand_in;

void* aclTensor::address(const Index& index) const {
    int64_t element = offset;
    for (size_t d = 0; d < sizes.size(); ++d) element += index[d] * strides[d];
    return data + element * static_cast<int64_t>(bytes_of(type));
}

double aclTensor::get(const Index& index) const { return load(address(index), type); }

void aclTensor::set(const Index& index, double value) const { store(address(index), type, value); }

double aclTensor::broadcast(const Index& index) const {
    Index own(index.end() - sizes.size(), index.end());
    for (size_t d = 0; d < sizes.size(); ++d) {
        if (sizes[d] == 1) own[d] = 0;
    }
    return get(own);
}

int64_t aclTensor::at(int64_t n, int64_t size) const {
    const auto position = static_cast<int64_t>(get({n}));
    if (position < 0 || position >= size) {
        stop("an index is %lld, the dimension has %lld", static_cast<long long>(position),
             static_cast<long long>(size));
    }
    return position;
}

NT_EXPORT aclTensor* aclCreateTensor(const int64_t* sizes, uint64_t dims, int type,
                                     const int64_t* strides, int64_t offset, int format,
                                     const int64_t* storage_sizes, uint64_t storage_dims,
                                     void* data) {
    (void)format, (void)storage_sizes, (void)storage_dims;
    bytes_of(type);
    return new aclTensor{
        static_cast<char*>(data), type, {sizes, sizes + dims}, {strides, strides + dims}, offset};
}

NT_EXPORT aclError aclDestroyTensor(const aclTensor* tensor) {
    delete tensor;
    return 0;
}

NT_EXPORT aclScalar* aclCreateScalar(const void* value, int type) {
    return new aclScalar{load(value, type)};
}

NT_EXPORT aclError aclDestroyScalar(const aclScalar* scalar) {
    delete scalar;
    return 0;
}

NT_EXPORT aclIntArray* aclCreateIntArray(const int64_t* values, uint64_t size) {
    return new aclIntArray{{values, values + size}};
}

NT_EXPORT aclError aclDestroyIntArray(const aclIntArray* array) {
    delete array;
    return 0;
}

// The list owns its tensors.
NT_EXPORT aclTensorList* aclCreateTensorList(const aclTensor* const* tensors, uint64_t size) {
    return new aclTensorList{{tensors, tensors + size}};
}

NT_EXPORT aclError aclDestroyTensorList(const aclTensorList* list) {
    for (const aclTensor* tensor : list->tensors) delete tensor;
    delete list;
    return 0;
}
