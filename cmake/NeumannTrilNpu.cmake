# Builds csrc/ascendc once for every architecture in NT_NPU_ARCHITECTURES, each a CMake project of its
# own, with the CANN that set_env.sh has put into the environment.
include(ExternalProject)

foreach(NT_ARCH ${NT_NPU_ARCHITECTURES})
    set(NT_NPU_DIR ${PROJECT_BINARY_DIR}/npu/${NT_ARCH})
    ExternalProject_Add(neumann_tril_npu_${NT_ARCH}
        SOURCE_DIR ${PROJECT_SOURCE_DIR}/csrc/ascendc
        BINARY_DIR ${NT_NPU_DIR}
        CMAKE_ARGS -DCMAKE_ASC_ARCHITECTURES=${NT_ARCH} -DCMAKE_BUILD_TYPE=Release
        BUILD_ALWAYS ON
        INSTALL_COMMAND "")
    install(FILES ${NT_NPU_DIR}/libneumann_tril_npu_${NT_ARCH}.so DESTINATION .)
endforeach()
