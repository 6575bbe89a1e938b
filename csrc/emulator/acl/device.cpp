#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "runtime.h"

namespace acl_stand_in {

namespace {

struct Chip {
    const char* name;
    int64_t cube_cores;
};

// The chips that the emulator knows, and their names of the same core count in torch_npu.
constexpr Chip kChips[] = {
    {"Ascend910B1", 24}, {"Ascend910B2", 24},    {"Ascend910B3", 20},
    {"Ascend910B4", 20}, {"Ascend910_9391", 24}, {"Ascend950PR_9599", 36},
};

std::atomic<bool> initialised{false};
thread_local int device_of_thread = -1;

uint64_t number(const char* name, uint64_t fallback) {
    const char* text = std::getenv(name);
    if (text == nullptr || *text == '\0') return fallback;
    char* end = nullptr;
    const uint64_t value = std::strtoull(text, &end, 10);
    if (*end != '\0') stop("%s must be a number, got \"%s\"", name, text);
    return value;
}

Configuration read_configuration() {
    Configuration c;
    c.devices = static_cast<uint32_t>(number("NT_ACL_DEVICES", 1));
    c.memory = number("NT_ACL_MEMORY_MB", 4096) << 20;
    c.delay_us = number("NT_ACL_DELAY_US", 0);
    c.seed = number("NT_ACL_SEED", 0);
    const char* soc = std::getenv("NT_ACL_SOC");
    c.soc = soc == nullptr || *soc == '\0' ? "Ascend910B4" : soc;
    std::string known;
    for (const Chip& chip : kChips) {
        if (c.soc == chip.name) {
            c.cube_cores = chip.cube_cores;
            c.vector_cores = 2 * chip.cube_cores;
            return c;
        }
        known += (known.empty() ? "" : ", ") + std::string(chip.name);
    }
    stop("NT_ACL_SOC must be one of %s, got \"%s\"", known.c_str(), c.soc.c_str());
}

aclError check_device(int64_t device) {
    if (device >= 0 && device < configuration().devices) return 0;
    return fail(kInvalidDevice, "there is no device %lld, only %u", static_cast<long long>(device),
                configuration().devices);
}

// Settings that torch_npu makes and asks back; nothing here depends on them.
std::mutex settings_mutex;
std::map<int, std::string>& compile_options() {
    static auto* const table = new std::map<int, std::string>;
    return *table;
}
std::map<int, int64_t>& system_parameters() {
    static auto* const table = new std::map<int, int64_t>;
    return *table;
}

// A context is that of its device; handles are addresses in this array.
char contexts[1024];

}  // namespace

const Configuration& configuration() {
    static const Configuration* const read = new Configuration(read_configuration());
    return *read;
}

int current_device() { return device_of_thread; }

aclError need_device(int& device) {
    device = device_of_thread;
    return device >= 0 ? 0 : fail(kNoContext, "this thread has set no device");
}

}  // namespace acl_stand_in

using namespace acl_stand_in;

NT_EXPORT const char* nt_acl_stand_in(void) {
    return "neumann-tril's stand-in for the Ascend runtime, which shows the host's side alone";
}

NT_EXPORT aclError aclInit(const char* configPath) {
    (void)configPath;
    configuration();
    if (initialised.exchange(true)) return fail(kRepeatInitialize, "aclInit was called before");
    return 0;
}

NT_EXPORT aclError aclFinalize(void) {
    stop_all_streams();
    initialised = false;
    return 0;
}

NT_EXPORT aclError aclrtGetDeviceCount(uint32_t* count) {
    *count = configuration().devices;
    return 0;
}

NT_EXPORT aclError aclrtSetDevice(int32_t deviceId) {
    if (const aclError error = check_device(deviceId)) return error;
    device_of_thread = deviceId;
    return 0;
}

NT_EXPORT aclError aclrtGetDevice(int32_t* deviceId) { return need_device(*deviceId); }

NT_EXPORT aclError aclrtResetDevice(int32_t deviceId) {
    if (const aclError error = check_device(deviceId)) return error;
    drain_device(deviceId);
    if (device_of_thread == deviceId) device_of_thread = -1;
    return 0;
}

NT_EXPORT aclError aclrtGetPrimaryCtxState(int32_t deviceId, uint32_t* flags, int32_t* active) {
    if (const aclError error = check_device(deviceId)) return error;
    if (flags != nullptr) *flags = 0;
    *active = 1;
    return 0;
}

NT_EXPORT aclError aclrtGetCurrentContext(aclrtContext* context) {
    int device = 0;
    if (const aclError error = need_device(device)) return error;
    *context = contexts + device;
    return 0;
}

NT_EXPORT aclError aclrtSetCurrentContext(aclrtContext context) {
    const auto device = static_cast<const char*>(context) - contexts;
    if (const aclError error = check_device(device)) return error;
    device_of_thread = static_cast<int>(device);
    return 0;
}

NT_EXPORT aclError aclrtCreateContext(aclrtContext* context, int32_t deviceId) {
    if (const aclError error = check_device(deviceId)) return error;
    device_of_thread = deviceId;
    *context = contexts + deviceId;
    return 0;
}

NT_EXPORT aclError aclrtDestroyContext(aclrtContext context) {
    return check_device(static_cast<const char*>(context) - contexts);
}

NT_EXPORT const char* aclrtGetSocName(void) { return configuration().soc.c_str(); }

NT_EXPORT aclError aclrtGetDeviceInfo(uint32_t deviceId, aclrtDevAttr attr, int64_t* value) {
    if (const aclError error = check_device(deviceId)) return error;
    switch (attr) {
        case ACL_DEV_ATTR_AICORE_CORE_NUM:
        case ACL_DEV_ATTR_CUBE_CORE_NUM:
            *value = configuration().cube_cores;
            return 0;
        case ACL_DEV_ATTR_VECTOR_CORE_NUM:
            *value = configuration().vector_cores;
            return 0;
        case ACL_DEV_ATTR_TOTAL_GLOBAL_MEM_SIZE:
            *value = static_cast<int64_t>(configuration().memory);
            return 0;
    }
    return fail(kInvalidParameter, "device attribute %d is not known here", attr);
}

NT_EXPORT aclError aclGetDeviceCapability(uint32_t deviceId, int info, int64_t* value) {
    if (const aclError error = check_device(deviceId)) return error;
    constexpr int64_t kL2Bytes = 192 << 20;
    const int64_t values[] = {configuration().cube_cores, configuration().vector_cores, kL2Bytes};
    if (info < 0 || info > 2) {
        return fail(kInvalidParameter, "device capability %d is not known here", info);
    }
    *value = values[info];
    return 0;
}

NT_EXPORT aclError aclsysGetVersionStr(char* package, char* version) {
    (void)package;
    std::strcpy(version, "9.1.0");
    return 0;
}

NT_EXPORT aclError aclrtDeviceCanAccessPeer(int32_t* can, int32_t device, int32_t peer) {
    *can = device != peer;
    return 0;
}

NT_EXPORT aclError aclrtDeviceEnablePeerAccess(int32_t peer, uint32_t flags) {
    (void)flags;
    return check_device(peer);
}

NT_EXPORT aclError aclrtSetDeviceSatMode(int mode) {
    constexpr int kInfNan = 1;
    if (mode != kInfNan) stop("a mode in which overflow saturates is not modelled");
    return 0;
}

NT_EXPORT aclError aclrtSetOpExecuteTimeOut(uint32_t timeout) {
    (void)timeout;
    return 0;
}

NT_EXPORT aclError aclSetCompileopt(int option, const char* value) {
    std::lock_guard<std::mutex> lock(settings_mutex);
    compile_options()[option] = value;
    return 0;
}

NT_EXPORT aclError aclGetCompileopt(int option, char* value, size_t length) {
    std::lock_guard<std::mutex> lock(settings_mutex);
    const std::string& kept = compile_options()[option];
    if (kept.size() + 1 > length) return fail(kInvalidParameter, "%zu bytes are too few", length);
    std::memcpy(value, kept.c_str(), kept.size() + 1);
    return 0;
}

NT_EXPORT size_t aclGetCompileoptSize(int option) {
    std::lock_guard<std::mutex> lock(settings_mutex);
    return compile_options()[option].size() + 1;
}

NT_EXPORT aclError aclrtSetSysParamOpt(int option, int64_t value) {
    std::lock_guard<std::mutex> lock(settings_mutex);
    system_parameters()[option] = value;
    return 0;
}

NT_EXPORT aclError aclrtGetSysParamOpt(int option, int64_t* value) {
    std::lock_guard<std::mutex> lock(settings_mutex);
    *value = system_parameters()[option];
    return 0;
}

NT_EXPORT aclError aclrtCtxSetSysParamOpt(int option, int64_t value) {
    return aclrtSetSysParamOpt(option, value);
}

NT_EXPORT aclError aclrtCtxGetSysParamOpt(int option, int64_t* value) {
    return aclrtGetSysParamOpt(option, value);
}
