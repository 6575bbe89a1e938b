// One kernel entry of a custom operator: of the file NT_KERNEL, for the dtype in ORIG_DTYPE_A or
// ORIG_DTYPE_Q.
#include "standin/operator_kernel.h"

#define DT_FLOAT 0
#define DT_FLOAT16 1
#define DT_BF16 27
// After what the operator build puts around it.
#include NT_KERNEL
