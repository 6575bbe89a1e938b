// chunk_fwd_o of fla-npu: its kernel, with the arguments in an array.
#include "kernel_operator.h"
//
#include "chunk_fwd_o.cpp"

extern "C" __attribute__((visibility("default"))) void entry(GM_ADDR const* a) {
    chunk_fwd_o(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9]);
}
