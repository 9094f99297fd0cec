# libqwen3, shared and static, of the rooms that do not belong to the program. The shared one exports the C API and what
# include/qwen3 declares, nothing else (libqwen3.map). Its soname has two numbers while the major one is 0.
set(libqwen3_objects "")
foreach(folder ${qwen3_library_folders})
  get_target_property(type qwen3_${folder} TYPE)
  if(type STREQUAL "STATIC_LIBRARY")
    list(APPEND libqwen3_objects $<TARGET_OBJECTS:qwen3_${folder}>)
  endif()
endforeach()
set(libqwen3_version ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
set(libqwen3_map ${PROJECT_SOURCE_DIR}/cmake/libqwen3.map)

function(libqwen3_headers target)
  set_target_properties(${target} PROPERTIES OUTPUT_NAME qwen3 LINKER_LANGUAGE CXX)
  target_compile_features(${target} INTERFACE cxx_std_20)
  target_include_directories(${target} INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                                 $<INSTALL_INTERFACE:include>)
endfunction()

add_library(qwen3_shared SHARED ${libqwen3_objects})
libqwen3_headers(qwen3_shared)
set_target_properties(qwen3_shared PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${libqwen3_version}
                                              EXPORT_NAME qwen3 LINK_DEPENDS ${libqwen3_map})
# fmt by its file: whoever links this library needs no target of fmt.
target_link_options(qwen3_shared PRIVATE -Wl,--version-script=${libqwen3_map} -Wl,-z,relro,-z,now)
target_link_libraries(qwen3_shared PRIVATE qwen3_flags $<TARGET_LINKER_FILE:fmt::fmt> PkgConfig::UTF8PROC
                                           Threads::Threads)
if(QWEN3_WITH_CUDA)
  target_link_libraries(qwen3_shared PRIVATE CUDA::cudart_static)
endif()

# Whoever links the static one links what it uses.
add_library(qwen3_static STATIC ${libqwen3_objects})
libqwen3_headers(qwen3_static)
set_target_properties(qwen3_static PROPERTIES EXPORT_NAME qwen3_static)
target_link_libraries(qwen3_static INTERFACE fmt::fmt Threads::Threads $<BUILD_INTERFACE:PkgConfig::UTF8PROC>
                                             $<INSTALL_INTERFACE:PkgConfig::QWEN3_UTF8PROC>)
if(QWEN3_WITH_CUDA)
  target_link_libraries(qwen3_static INTERFACE CUDA::cudart_static)
endif()

# The Python package, as the tests import it: build/…/python/qwen3, with what cffi makes of the header.
# The system's Python before others: script/bootstrap installs packages for that one.
find_program(QWEN3_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH)
find_program(QWEN3_PYTHON python3)
if(QWEN3_PYTHON)
  execute_process(COMMAND ${QWEN3_PYTHON} -c "import cffi" RESULT_VARIABLE without_cffi OUTPUT_QUIET ERROR_QUIET)
endif()
if(QWEN3_PYTHON AND NOT without_cffi)
  set(package ${PROJECT_BINARY_DIR}/python/qwen3)
  file(GLOB modules CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/python/qwen3/*.py ${PROJECT_SOURCE_DIR}/python/qwen3/py.typed)
  set(header ${PROJECT_SOURCE_DIR}/include/qwen3/c.h)
  add_custom_command(
    OUTPUT ${package}/_ffi.py
    COMMAND ${CMAKE_COMMAND} -E make_directory ${package}
    COMMAND ${CMAKE_COMMAND} -E copy_if_different ${modules} ${package}
    COMMAND ${QWEN3_PYTHON} ${PROJECT_SOURCE_DIR}/python/make_ffi.py ${header} ${package}/_ffi.py
    DEPENDS ${modules} ${header} ${PROJECT_SOURCE_DIR}/python/make_ffi.py)
  add_custom_target(qwen3_python DEPENDS ${package}/_ffi.py qwen3_shared)
else()
  message(STATUS "The Python package needs python3-cffi to be built; its tests will fail")
endif()
