// One kernel entry of the custom operator, for the dtype of A in ORIG_DTYPE_A.
#include "standin/operator_kernel.h"

#define DT_FLOAT 0
#define DT_FLOAT16 1
#define DT_BF16 27
// After what the operator build puts around it.
#include "../../csrc/ascendc/package/neumann_tril_inverse.cpp"
