# The NPU kernels for a CPU: libneumann_tril_emulator_<arch>.so, our kernel sources and the emulator.
# With them the kernels of peers of the benchmarks, so that a profile can state the ratio to one.

add_subdirectory(${PROJECT_SOURCE_DIR}/csrc/emulator ${PROJECT_BINARY_DIR}/emulator)
file(GLOB NT_KERNEL_SOURCES CONFIGURE_DEPENDS
    ${PROJECT_SOURCE_DIR}/csrc/ascendc/core/*.cpp
    ${PROJECT_SOURCE_DIR}/csrc/ascendc/inverse/*.cpp
    ${PROJECT_SOURCE_DIR}/csrc/ascendc/quantized/*.cpp
    ${PROJECT_SOURCE_DIR}/csrc/ascendc/gated_delta/*.cpp)
list(APPEND NT_KERNEL_SOURCES ${NT_COMMON_SOURCES})
file(GLOB NT_KERNEL_SOURCES_2201 CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/benchmarks/peers/*.cpp)
set(NT_KERNEL_SOURCES_3510)

foreach(NT_ARCH 2201 3510)
    # Compiled once, for this library and for the one on the stand-in runtime.
    set(kernels neumann_tril_kernels_${NT_ARCH})
    add_library(${kernels} OBJECT ${NT_KERNEL_SOURCES})
    target_include_directories(${kernels} PUBLIC ${PROJECT_SOURCE_DIR}/csrc/include)
    target_compile_definitions(${kernels} PUBLIC NEUMANN_TRIL_EMULATOR)
    target_compile_options(${kernels} PRIVATE $<IF:$<CONFIG:Debug>,-O0,-O1>)
    target_link_libraries(${kernels} PUBLIC neumann_tril_emulator_${NT_ARCH} PRIVATE nt_warnings)
    set_target_properties(${kernels} PROPERTIES POSITION_INDEPENDENT_CODE ON)

    set(target neumann_tril_emulated_${NT_ARCH})
    add_library(${target} SHARED ${NT_KERNEL_SOURCES_${NT_ARCH}})
    target_compile_options(${target} PRIVATE $<IF:$<CONFIG:Debug>,-O0,-O1>)
    target_link_libraries(${target} PRIVATE ${kernels}
        -Wl,--whole-archive neumann_tril_emulator_${NT_ARCH} -Wl,--no-whole-archive nt_warnings)
    set_target_properties(${target} PROPERTIES
        OUTPUT_NAME neumann_tril_emulator_${NT_ARCH} LINKER_LANGUAGE CXX)
    install(TARGETS ${target} LIBRARY DESTINATION . RUNTIME DESTINATION .)
endforeach()
include(NeumannTrilAcl)
