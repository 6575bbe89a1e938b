#include "isa.h"

#include <cstdlib>
#include <cstring>

#if defined(NT_HAVE_AVX2) || defined(NT_HAVE_AVX512)
#include <cpuid.h>
#endif

namespace neumann_tril {
namespace {

#if defined(NT_HAVE_AVX2) || defined(NT_HAVE_AVX512)
bool has_f16c() {
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C);
}
#endif

// The sets that this build has and the machine can run, the best first.
int available(const Isa* (&sets)[4]) {
    int count = 0;
#if defined(NT_HAVE_AVX2) || defined(NT_HAVE_AVX512)
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
#endif
#if defined(NT_HAVE_AVX512)
    if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
        sets[count++] = &kAvx512;
    }
#endif
#if defined(NT_HAVE_AVX2)
    if (avx2) sets[count++] = &kAvx2;
#endif
#if defined(NT_HAVE_NEON)
    sets[count++] = &kNeon;
#endif
    sets[count++] = &kPortable;
    return count;
}

const Isa& choose() {
    const Isa* sets[4];
    const int count = available(sets);
    const char* wanted = std::getenv("NEUMANN_TRIL_ISA");
    for (int i = 0; wanted && i < count; ++i)
        if (std::strcmp(sets[i]->name, wanted) == 0) return *sets[i];
    return *sets[0];
}

}  // namespace

const Isa& isa() {
    static const Isa& chosen = choose();
    return chosen;
}

const QuantizedKernels& quantized_kernels() {
#if defined(NT_HAVE_AVX512VNNI)
    static const bool vnni = &isa() == &kAvx512 && __builtin_cpu_supports("avx512vnni");
    if (vnni) return kAvx512Vnni;
#endif
    return isa().quantized;
}

}  // namespace neumann_tril
