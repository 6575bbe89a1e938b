// Entries of the API that one architecture alone has. Where the other is compiled, their use is an
// error of the compiler that names the entry:
//
//     EMULATOR_ONLY_ON_3510("Copy with a count") void Copy(...)
//
// The entry stands where the vendor's public headers define it; where they declare it and no more,
// or assert, the documents decide. An element type that an entry does not take is refused by
// require_type, and a field that a structure does not have is left out.
#pragma once

#ifndef __has_attribute
#define __has_attribute(name) 0
#endif
#if __has_attribute(unavailable)
#define EMULATOR_UNAVAILABLE(text) __attribute__((unavailable(text)))
#else
// Compilers without the attribute warn of what is deprecated, and the warning is made an error.
#define EMULATOR_UNAVAILABLE(text) __attribute__((deprecated(text)))
#pragma GCC diagnostic error "-Wdeprecated-declarations"
#endif

#if __NPU_ARCH__ == 3510
#define EMULATOR_ONLY_ON_2201(entry) EMULATOR_UNAVAILABLE(entry " exists on dav-2201 only")
#define EMULATOR_ONLY_ON_3510(entry)
#else
#define EMULATOR_ONLY_ON_2201(entry)
#define EMULATOR_ONLY_ON_3510(entry) EMULATOR_UNAVAILABLE(entry " exists on dav-3510 only")
#endif
