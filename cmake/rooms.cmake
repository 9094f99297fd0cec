# qwen3_flags: the warnings, hardening and sanitizers that every target of ours shares.
add_library(qwen3_flags INTERFACE)
target_compile_options(qwen3_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wvla -Walloca)
# GCC 12 sees overlaps inside std::string that cannot happen (GCC bug 105329).
target_compile_options(qwen3_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
target_compile_options(qwen3_flags INTERFACE $<$<CONFIG:Release>:-fstack-protector-strong>)
if(QWEN3_WERROR)
  target_compile_options(qwen3_flags INTERFACE -Werror)
endif()
if(QWEN3_SANITIZE)
  target_compile_options(
    qwen3_flags INTERFACE -fsanitize=${QWEN3_SANITIZE} -fno-sanitize-recover=all
                          -fno-omit-frame-pointer)
  target_link_options(qwen3_flags INTERFACE -fsanitize=${QWEN3_SANITIZE})
endif()
if(QWEN3_FUZZ)
  target_compile_options(qwen3_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# qwen3_room(name DEPS rooms... LIBS libraries...): a static library of src/<name>/, sub-folders
# included. src/cli/main.cpp stays out: it belongs to the executable.
function(qwen3_room name)
  cmake_parse_arguments(ROOM "" "" "DEPS;LIBS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "/src/cli/main\\.cpp$")
  if(NOT sources)
    set(kind INTERFACE)
    add_library(qwen3_${name} INTERFACE)
  else()
    set(kind PUBLIC)
    add_library(qwen3_${name} STATIC ${sources})
    target_link_libraries(qwen3_${name} PRIVATE qwen3_flags)
  endif()
  target_include_directories(qwen3_${name} ${kind} ${PROJECT_SOURCE_DIR}/src
                             ${PROJECT_SOURCE_DIR}/include)
  foreach(dep ${ROOM_DEPS})
    target_link_libraries(qwen3_${name} ${kind} qwen3_${dep})
  endforeach()
  target_link_libraries(qwen3_${name} ${kind} ${ROOM_LIBS} fmt::fmt nlohmann_json::nlohmann_json
                        Threads::Threads)
  if(EXISTS ${PROJECT_SOURCE_DIR}/src/${name}/room.cmake)
    include(${PROJECT_SOURCE_DIR}/src/${name}/room.cmake)
  endif()
endfunction()
