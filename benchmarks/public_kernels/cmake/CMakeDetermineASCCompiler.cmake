# The language ASC of CANN's CMake package, for sources of Ascend C: compiled by asc.py.
set(CMAKE_ASC_COMPILER ${CMAKE_CURRENT_LIST_DIR}/../asc.py)
set(CMAKE_ASC_COMPILER_ENV_VAR ASC)
configure_file(${CMAKE_CURRENT_LIST_DIR}/CMakeASCCompiler.cmake.in
    ${CMAKE_PLATFORM_INFO_DIR}/CMakeASCCompiler.cmake @ONLY)
