// The stand-in runtime: enough of the Ascend runtime's C interface (names and behaviour, from its
// public description) for an application, and for the genuine torch_npu, to run without a device.
//
//     device.cpp    the process, devices, contexts, what the chip is called and has
//     memory.cpp    device and pinned memory: accounted, poisoned, bounds of every copy checked
//     stream.cpp    a stream is a thread that runs its tasks in order, late if it is told to
//     event.cpp     events on streams
//     error.cpp     error codes and their texts
//     stop.cpp      what is not modelled ends the process
//     operators.cpp those of torch's operators that this project's host code calls
//     link_only.cpp functions that torch_npu must find when it is loaded, but does not call here
//
// It is about the host's side alone: nothing here says how a device behaves.
#pragma once

#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#pragma GCC visibility push(default)
#include "acl/acl.h"
#include "stand_in.h"
#pragma GCC visibility pop

#define NT_EXPORT extern "C" __attribute__((visibility("default")))

namespace acl_stand_in {

// Error codes as the runtime numbers them.
constexpr aclError kRepeatInitialize = 100002;
constexpr aclError kInvalidParameter = 107000;
constexpr aclError kInvalidDevice = 107001;
constexpr aclError kNoContext = 107002;
constexpr aclError kOutOfMemory = 207001;
constexpr aclError kTimeout = 507046;
constexpr aclError kKernelError = 507015;

// --- stop.cpp
[[noreturn]] __attribute__((format(printf, 1, 2))) void stop(const char* format, ...);

// --- error.cpp
// Keeps the text for aclGetRecentErrMsg() of this thread and returns the code.
__attribute__((format(printf, 2, 3))) aclError fail(aclError code, const char* format, ...);

// --- device.cpp
struct Configuration {
    uint32_t devices;    // NT_ACL_DEVICES, 1
    size_t memory;       // NT_ACL_MEMORY_MB of each device, 4096
    uint64_t delay_us;   // NT_ACL_DELAY_US: every task is put on its stream, and starts, so late, 0
    uint64_t seed;       // NT_ACL_SEED of these delays, 0
    std::string soc;     // NT_ACL_SOC, Ascend910B4
    int64_t cube_cores;  // of this chip
    int64_t vector_cores;  // of this chip
};
const Configuration& configuration();
// The device this thread works on, or -1.
int current_device();
// The same where one is needed: 0, or the error of having none.
aclError need_device(int& device);

// --- stream.cpp
struct Outcome {
    aclError code = 0;
    std::string text;
};
using Task = std::function<Outcome()>;
// NULL is the default stream of the current device. What runs after an error is dropped, unless it
// is `order`, which others may wait for.
void enqueue(aclrtStream stream, Task task, bool order = false);
bool is_idle(aclrtStream stream);
void count_host_wait();
void drain_device(int device);
void stop_all_streams();

// --- memory.cpp
size_t memory_in_use(int device);

}  // namespace acl_stand_in
