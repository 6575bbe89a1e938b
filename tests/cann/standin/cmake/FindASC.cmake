# A stand-in for CANN's package of that name: its functions, which only write down how they were
# called, a line each, arguments separated by semicolons.
set(ASC_FOUND TRUE)
set(ASCEND_AUTOGEN_PATH ${CMAKE_BINARY_DIR}/autogen)
foreach(name package code_gen library kernel_options kernel_sources kernel_library package_add)
    cmake_language(EVAL CODE "
        function(npu_op_${name})
            file(APPEND ${CMAKE_BINARY_DIR}/calls.txt \"npu_op_${name};\${ARGN}\\n\")
        endfunction()")
endforeach()
