# Installs libqwen3: component `library`, the shared object alone; `development`, what is needed to build with it:
# headers, the static library, find_package(qwen3) and pkg-config.
include(CMakePackageConfigHelpers)
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/qwen3)

install(TARGETS qwen3_shared EXPORT qwen3_shared_targets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        COMPONENT library NAMELINK_COMPONENT development)
install(TARGETS qwen3_static EXPORT qwen3_static_targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        COMPONENT development)
install(DIRECTORY include/qwen3 DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
foreach(kind shared static)
  install(EXPORT qwen3_${kind}_targets NAMESPACE qwen3:: DESTINATION ${package} COMPONENT development)
endforeach()

configure_package_config_file(cmake/qwen3-config.cmake.in qwen3-config.cmake INSTALL_DESTINATION ${package})
write_basic_package_version_file(qwen3-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/qwen3-config.cmake ${PROJECT_BINARY_DIR}/qwen3-config-version.cmake
        DESTINATION ${package} COMPONENT development)

# From the folder of qwen3.pc up to the prefix, so that a tree that is moved still works.
file(RELATIVE_PATH up /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
string(REGEX REPLACE "/$" "" up ${up})
configure_file(cmake/qwen3.pc.in qwen3.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/qwen3.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
