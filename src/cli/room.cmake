# What the program knows about its own build: the version, and where `make install` puts data.
target_compile_definitions(qwen3_cli PRIVATE QWEN3_VERSION="${PROJECT_VERSION}")
include(GNUInstallDirs)
target_compile_definitions(qwen3_cli PRIVATE QWEN3_LIBDIR="${CMAKE_INSTALL_LIBDIR}")
# The commit: asked for when CMake runs, which it does again after each commit. version.cpp alone is compiled anew then.
find_package(Git QUIET)
set(commit "")
if(GIT_FOUND)
  execute_process(COMMAND ${GIT_EXECUTABLE} -C ${PROJECT_SOURCE_DIR} rev-parse --show-toplevel
                  OUTPUT_VARIABLE top OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(top STREQUAL PROJECT_SOURCE_DIR) # and not somebody's repository around a copy of this one
    execute_process(COMMAND ${GIT_EXECUTABLE} -C ${PROJECT_SOURCE_DIR} rev-parse --short=12 HEAD
                    OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    execute_process(COMMAND ${GIT_EXECUTABLE} -C ${PROJECT_SOURCE_DIR} rev-parse --path-format=absolute
                            --git-path logs/HEAD
                    OUTPUT_VARIABLE log OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    if(EXISTS "${log}")
      set_property(DIRECTORY ${PROJECT_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${log})
    endif()
  endif()
endif()
set(features "")
foreach(option WITH_CUDA EMBED_MODELS TAPS)
  string(TOLOWER ${option} word)
  string(REPLACE "_" "-" word ${word})
  string(REPLACE "with-" "" word ${word})
  if(QWEN3_${option})
    string(APPEND features "${word} ")
  else()
    string(APPEND features "no-${word} ")
  endif()
endforeach()
if(QWEN3_SANITIZE)
  string(APPEND features "sanitizers")
endif()
string(STRIP "${features}" features)
set_source_files_properties(
  ${PROJECT_SOURCE_DIR}/src/cli/version.cpp
  PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON
             COMPILE_DEFINITIONS
             "QWEN3_COMMIT=\"${commit}\";QWEN3_FEATURES=\"${features}\";QWEN3_BUILD_TYPE=\"$<CONFIG>\"")
