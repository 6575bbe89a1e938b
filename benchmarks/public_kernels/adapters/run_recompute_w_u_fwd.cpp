// recompute_w_u_fwd of fla-npu: its kernel, with the arguments in an array.
#include "recompute_w_u_fwd.cpp"

extern "C" __attribute__((visibility("default"))) void entry(GM_ADDR const* a) {
    recompute_w_u_fwd(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11]);
}
