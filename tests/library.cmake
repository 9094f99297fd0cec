# libqwen3 as others get it: the header in old C and C++, the exported symbols, a project of its own against an installed
# copy, the Python package and the wheel.
add_library(c_header OBJECT capi/header.c capi/header.cpp)
target_include_directories(c_header PRIVATE ${PROJECT_SOURCE_DIR}/include)
target_compile_options(c_header PRIVATE -pedantic -Wall -Wextra -Werror)
set_target_properties(c_header PROPERTIES C_STANDARD 99 C_EXTENSIONS OFF CXX_STANDARD 11)
add_dependencies(capi_tests c_header qwen3_shared qwen3_static)

add_test(NAME library_symbols
         COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/capi/exported_symbols.py --shared $<TARGET_FILE:qwen3_shared> --static
                 $<TARGET_FILE:qwen3_static>)
set_tests_properties(library_symbols PROPERTIES LABELS unit TIMEOUT 300)

# The examples are built with this build's compiler, so not with its sanitizers.
if(NOT QWEN3_SANITIZE)
  add_test(NAME library_installed COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/capi/installed_test.py --build ${PROJECT_BINARY_DIR})
  set_tests_properties(library_installed PROPERTIES LABELS unit TIMEOUT 900)
endif()

if(QWEN3_BUILD_PROGRAM AND NOT QWEN3_SANITIZE)
  if(TARGET qwen3_python)
    add_dependencies(capi_tests qwen3_python)
  endif()
  set(python_environment "PYTHONPATH=${PROJECT_BINARY_DIR}/python" "QWEN3_LIBRARY=$<TARGET_FILE:qwen3_shared>"
                         "QWEN3_PROGRAM=$<TARGET_FILE:qwen3>" "PYTHONDONTWRITEBYTECODE=1")
  add_test(NAME python COMMAND ${QWEN3_PYTHON} -m pytest -q -p no:cacheprovider ${PROJECT_SOURCE_DIR}/python/tests)
  add_test(NAME python_types COMMAND ${QWEN3_PYTHON} -m mypy --strict --cache-dir ${PROJECT_BINARY_DIR}/mypy
                                     --config-file ${PROJECT_SOURCE_DIR}/python/mypy.ini
                                     ${PROJECT_BINARY_DIR}/python/qwen3)
  add_test(NAME python_wheel COMMAND ${QWEN3_PYTHON} ${PROJECT_SOURCE_DIR}/python/tests/wheel.py --build ${PROJECT_BINARY_DIR})
  set_tests_properties(python python_types python_wheel PROPERTIES LABELS unit TIMEOUT 900 ENVIRONMENT
                                                                   "${python_environment}")
endif()
