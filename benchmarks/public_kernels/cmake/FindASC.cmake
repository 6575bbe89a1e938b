# CANN's libraries that examples name: all that they need of them is in the runtime of asc.py.
foreach(NT_NAME ascendcl ascendalog c_sec graph_base platform register runtime tiling_api)
    add_library(${NT_NAME} INTERFACE IMPORTED)
endforeach()
function(ascendc_compile_definitions NT_TARGET)
    target_compile_definitions(${NT_TARGET} ${ARGN})
endfunction()
set(ASC_FOUND TRUE)
