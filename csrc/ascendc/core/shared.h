// For functions that host and device code call. Device code includes kernel_operator.h before.
#pragma once

#if defined(__host_aicore__)
#define NT_SHARED __host_aicore__ inline
#elif defined(__aicore__)
#define NT_SHARED __aicore__ inline
#else
#define NT_SHARED inline
#endif
