# The native CPU library: target neumann_tril_cpu, libneumann_tril.so, no dependency but threads.
#
# Every instruction set is one source file compiled with its own flags; isa.cpp picks one at run
# time, so the rest must not use more than the baseline.

set(NT_CPU_DIR ${PROJECT_SOURCE_DIR}/csrc/cpu)
set(NT_CPU_SOURCES
    ${NT_CPU_DIR}/batch.cpp
    ${NT_CPU_DIR}/c_api.cpp
    ${NT_CPU_DIR}/call.cpp
    ${NT_CPU_DIR}/isa.cpp
    ${NT_CPU_DIR}/kernels_portable.cpp
    ${NT_CPU_DIR}/pool.cpp
    ${NT_CPU_DIR}/quantized_api.cpp
    ${NT_COMMON_SOURCES})
set(NT_CPU_DEFINITIONS)

# Adds kernels_<isa>.cpp, compiled with the given flags, if the compiler takes them.
function(nt_add_isa isa)
    string(TOUPPER ${isa} upper)
    string(REPLACE ";" " " flags "${ARGN}")
    check_cxx_compiler_flag("${flags}" NT_COMPILES_${upper})
    if(NOT NT_COMPILES_${upper} AND NOT "${flags}" STREQUAL "")
        message(STATUS "neumann_tril: this compiler cannot build the ${isa} kernels")
        return()
    endif()
    set(source ${NT_CPU_DIR}/kernels_${isa}.cpp)
    set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${ARGN}")
    set(NT_CPU_SOURCES ${NT_CPU_SOURCES} ${source} PARENT_SCOPE)
    set(NT_CPU_DEFINITIONS ${NT_CPU_DEFINITIONS} NT_HAVE_${upper} PARENT_SCOPE)
endfunction()

include(CheckCXXCompilerFlag)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    nt_add_isa(avx2 -mavx2 -mfma -mf16c)
    nt_add_isa(avx512 -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl)
    nt_add_isa(avx512vnni -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl
               -mavx512vnni)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
    nt_add_isa(neon)
endif()

# What the library and its test program share.
add_library(neumann_tril_cpu_objects OBJECT ${NT_CPU_SOURCES})
target_include_directories(neumann_tril_cpu_objects PUBLIC ${PROJECT_SOURCE_DIR}/csrc/include)
target_compile_definitions(neumann_tril_cpu_objects PRIVATE ${NT_CPU_DEFINITIONS})
# No contraction: a sum is rounded where the source says so, the same with every compiler.
target_compile_options(neumann_tril_cpu_objects PRIVATE -ffp-contract=off)
set_target_properties(neumann_tril_cpu_objects PROPERTIES POSITION_INDEPENDENT_CODE ON
                      CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
target_link_libraries(neumann_tril_cpu_objects PUBLIC Threads::Threads PRIVATE nt_warnings)

add_library(neumann_tril_cpu SHARED)
target_link_libraries(neumann_tril_cpu PRIVATE neumann_tril_cpu_objects)
target_include_directories(neumann_tril_cpu INTERFACE ${PROJECT_SOURCE_DIR}/csrc/include)
set_target_properties(neumann_tril_cpu PROPERTIES OUTPUT_NAME neumann_tril)
if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
    # Only our own names leave the library; and as its threads never end, nor may its code.
    target_link_options(neumann_tril_cpu PRIVATE
        "LINKER:--version-script=${NT_CPU_DIR}/exports.map" "LINKER:-z,nodelete")
    set_property(TARGET neumann_tril_cpu APPEND PROPERTY LINK_DEPENDS ${NT_CPU_DIR}/exports.map)
endif()

# cmake --install BUILD --prefix PACKAGE_DIR puts the library beside the Python modules.
install(TARGETS neumann_tril_cpu LIBRARY DESTINATION . RUNTIME DESTINATION .)
