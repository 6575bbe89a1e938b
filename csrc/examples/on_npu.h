// What the example applications have in common: the device, its memory, errors, exit statuses.
#pragma once

#include <acl/acl.h>

#include <cstdio>
#include <stdexcept>
#include <string>

#include "neumann_tril_npu.h"

namespace on_npu {

// Throws with the runtime's own text unless the call has succeeded.
inline void Check(aclError error, const char* call) {
    if (error == ACL_SUCCESS) return;
    const char* text = aclGetRecentErrMsg();
    throw std::runtime_error(std::string(call) + " returned " + std::to_string(error) + ": " +
                             (text != nullptr ? text : "no message"));
}
#define ACL(call) on_npu::Check(call, #call)

inline void Check(const char* reason) {
    if (reason != nullptr) throw std::runtime_error(reason);
}

class DeviceMemory {
  public:
    explicit DeviceMemory(size_t bytes) {
        if (bytes > 0) ACL(aclrtMalloc(&data_, bytes, ACL_MEM_MALLOC_HUGE_FIRST));
    }
    ~DeviceMemory() {
        if (data_ != nullptr) aclrtFree(data_);
    }
    DeviceMemory(const DeviceMemory&) = delete;
    DeviceMemory& operator=(const DeviceMemory&) = delete;
    void* get() const { return data_; }

  private:
    void* data_ = nullptr;
};

// The device of this process, from now until the end of this object.
class Device {
  public:
    explicit Device(int32_t number) : number_(number) {
        ACL(aclInit(nullptr));
        ACL(aclrtSetDevice(number));
    }
    ~Device() {
        aclrtResetDevice(number_);
        aclFinalize();
    }
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;

  private:
    int32_t number_;
};

inline int32_t CubeCores(int32_t device) {
    int64_t cores = 0;
    ACL(aclrtGetDeviceInfo(static_cast<uint32_t>(device), ACL_DEV_ATTR_CUBE_CORE_NUM, &cores));
    return static_cast<int32_t>(cores);
}

// The exit status of a program whose `run` returns whether its result is right, or throws.
template <class Run>
int Main(Run run) {
    try {
        if (nt_version() != NT_VERSION) Check("the libraries have another interface version");
        return run() ? 0 : 1;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 2;
    }
}

}  // namespace on_npu
