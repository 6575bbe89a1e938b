# The stand-in for the Ascend runtime, and the kernels on it: acl_stand_in/ beside the Python modules.
# An application, or the genuine torch_npu, that finds its libraries there runs without a device.

set(NT_ACL_DIR ${PROJECT_SOURCE_DIR}/csrc/emulator/acl)
add_library(nt_acl_options INTERFACE)
target_include_directories(nt_acl_options INTERFACE ${NT_ACL_DIR} ${NT_ACL_DIR}/include)
target_link_libraries(nt_acl_options INTERFACE Threads::Threads nt_warnings)

# nt_add_stand_in(name source...): a library of the runtime's, which sees the others beside it.
function(nt_add_stand_in name)
    add_library(nt_stand_in_${name} SHARED ${ARGN})
    target_link_libraries(nt_stand_in_${name} PRIVATE nt_acl_options)
    set_target_properties(nt_stand_in_${name} PROPERTIES
        OUTPUT_NAME ${name} CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
        LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/acl_stand_in
        BUILD_RPATH_USE_ORIGIN ON BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH $ORIGIN)
    install(TARGETS nt_stand_in_${name} LIBRARY DESTINATION acl_stand_in)
endfunction()

nt_add_stand_in(ascendcl
    ${NT_ACL_DIR}/device.cpp
    ${NT_ACL_DIR}/error.cpp
    ${NT_ACL_DIR}/event.cpp
    ${NT_ACL_DIR}/link_only.cpp
    ${NT_ACL_DIR}/memory.cpp
    ${NT_ACL_DIR}/stop.cpp
    ${NT_ACL_DIR}/stream.cpp)

# Names under which torch_npu looks for parts of the same runtime.
foreach(NT_NAME hccl acl_op_compiler ge_runner graph acl_tdt_channel)
    nt_add_stand_in(${NT_NAME} ${NT_ACL_DIR}/alias.cpp)
    target_link_libraries(nt_stand_in_${NT_NAME} PRIVATE -Wl,--no-as-needed nt_stand_in_ascendcl)
endforeach()

# Operators of torch's.
nt_add_stand_in(opapi ${NT_ACL_DIR}/operators.cpp ${NT_ACL_DIR}/stop.cpp ${NT_ACL_DIR}/tensor.cpp)
target_include_directories(nt_stand_in_opapi PRIVATE ${PROJECT_SOURCE_DIR}/csrc/emulator)
target_link_libraries(nt_stand_in_opapi PRIVATE nt_stand_in_ascendcl)

# The NPU library, by its own name.
foreach(NT_ARCH 2201 3510)
    nt_add_stand_in(neumann_tril_npu_dav-${NT_ARCH} ${NT_ACL_DIR}/kernel_launch.cpp)
    target_link_libraries(nt_stand_in_neumann_tril_npu_dav-${NT_ARCH} PRIVATE
        neumann_tril_kernels_${NT_ARCH} nt_stand_in_ascendcl
        -Wl,--whole-archive neumann_tril_emulator_${NT_ARCH} -Wl,--no-whole-archive)
endforeach()
