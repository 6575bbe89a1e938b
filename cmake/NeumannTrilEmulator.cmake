# The NPU kernels for a CPU: libneumann_tril_emulator_<arch>.so, our kernel sources and the emulator.
# With it the baseline kernel of the benchmarks, so that a profile can state the ratio to it.

add_subdirectory(${PROJECT_SOURCE_DIR}/csrc/emulator ${PROJECT_BINARY_DIR}/emulator)
set(NT_KERNEL_SOURCES
    ${PROJECT_SOURCE_DIR}/csrc/ascendc/inverse.cpp
    ${PROJECT_SOURCE_DIR}/csrc/ascendc/quant_inverse.cpp
    ${PROJECT_SOURCE_DIR}/csrc/ascendc/quant_tiling.cpp
    ${PROJECT_SOURCE_DIR}/csrc/ascendc/tiling.cpp)
set(NT_KERNEL_SOURCES_2201 ${PROJECT_SOURCE_DIR}/benchmarks/peer_baseline.cpp)
set(NT_KERNEL_SOURCES_3510)

foreach(NT_ARCH 2201 3510)
    set(target neumann_tril_kernels_${NT_ARCH})
    add_library(${target} SHARED ${NT_KERNEL_SOURCES} ${NT_KERNEL_SOURCES_${NT_ARCH}})
    target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/csrc/include
                                                 ${PROJECT_SOURCE_DIR}/csrc/ascendc)
    target_compile_definitions(${target} PRIVATE NEUMANN_TRIL_EMULATOR)
    target_compile_options(${target} PRIVATE $<IF:$<CONFIG:Debug>,-O0,-O1>)
    target_link_libraries(${target} PRIVATE
        -Wl,--whole-archive neumann_tril_emulator_${NT_ARCH} -Wl,--no-whole-archive nt_warnings)
    set_target_properties(${target} PROPERTIES OUTPUT_NAME neumann_tril_emulator_${NT_ARCH})
    install(TARGETS ${target} LIBRARY DESTINATION . RUNTIME DESTINATION .)
endforeach()
