# `cpack -G DEB` in a build directory makes the Debian package of the component `program`. script/package calls it, and
# makes the relocatable archive, for which the launcher is built here (packaging/launcher.c).
add_executable(qwen3_launcher EXCLUDE_FROM_ALL packaging/launcher.c)
target_compile_options(qwen3_launcher PRIVATE -Wall -Wextra -Os)
target_link_options(qwen3_launcher PRIVATE -static -s)

set(CPACK_PACKAGE_NAME qwen3)
set(QWEN3_PACKAGE_CONTACT "qwen3.cpp maintainers <maintainers@qwen3-cpp.invalid>" CACHE STRING
    "The maintainer that a Debian package names; whoever distributes it gives their own")
set(CPACK_PACKAGE_CONTACT ${QWEN3_PACKAGE_CONTACT})
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "runs Qwen3 language models on the command line and over HTTP")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
    "Runs Qwen3 checkpoints, dense and mixture-of-experts, unchanged: Hugging Face
directories and GGUF files. It chats, serves the OpenAI API, evaluates,
quantises, and shows what happens inside of the model. Two small models are
built in, so that it answers without a download.")
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
if(CMAKE_CROSSCOMPILING AND CMAKE_SYSTEM_PROCESSOR STREQUAL "aarch64")
  set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE arm64)
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS
      ${CMAKE_SYSROOT}/lib/${CMAKE_LIBRARY_ARCHITECTURE} ${CMAKE_SYSROOT}/usr/lib/${CMAKE_LIBRARY_ARCHITECTURE})
endif()
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS ca-certificates)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL program)
set(CPACK_COMPONENTS_GROUPING ALL_COMPONENTS_IN_ONE)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
# Debian's places and forms, where they differ from those of `cmake --install`.
configure_file(packaging/debian_layout.cmake.in ${CMAKE_BINARY_DIR}/debian_layout.cmake @ONLY)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_BINARY_DIR}/debian_layout.cmake)
include(CPack)
