#include "neumann_tril.h"

extern "C" int32_t nt_version(void) { return NT_VERSION; }

extern "C" const char* nt_version_string(void) { return NT_VERSION_STRING; }
