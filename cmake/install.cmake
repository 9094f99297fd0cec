# What `cmake --install build/release --prefix DIR --component program` lays down: the program, its manual page, the
# completions of bash, zsh and fish, licences. Page and completions are written by the program itself, from the tables
# that --help shows, each time it is linked.
include(GNUInstallDirs)
set(QWEN3_BASH_COMPLETIONS_DIR ${CMAKE_INSTALL_DATADIR}/bash-completion/completions CACHE STRING
    "Where bash finds completions, under the prefix")
set(QWEN3_ZSH_COMPLETIONS_DIR ${CMAKE_INSTALL_DATADIR}/zsh/site-functions CACHE STRING
    "Where zsh finds completions, under the prefix")
set(QWEN3_FISH_COMPLETIONS_DIR ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d CACHE STRING
    "Where fish finds completions, under the prefix")

install(TARGETS qwen3 RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
install(FILES LICENSE CHANGELOG.md packaging/copyright DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT program)

if(CMAKE_CROSSCOMPILING AND NOT CMAKE_CROSSCOMPILING_EMULATOR)
  message(STATUS "No emulator runs the program here: no manual page and no completions are installed")
else()
  set(written ${CMAKE_BINARY_DIR}/share)
  file(MAKE_DIRECTORY ${written})
  add_custom_command(
    TARGET qwen3 POST_BUILD
    COMMAND qwen3 manual > ${written}/qwen3.1
    COMMAND qwen3 completions bash > ${written}/qwen3.bash
    COMMAND qwen3 completions zsh > ${written}/_qwen3
    COMMAND qwen3 completions fish > ${written}/qwen3.fish
    COMMENT "Writing the manual page and the completions" VERBATIM)
  install(FILES ${written}/qwen3.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT program)
  install(FILES ${written}/qwen3.bash DESTINATION ${QWEN3_BASH_COMPLETIONS_DIR} RENAME qwen3 COMPONENT program)
  install(FILES ${written}/_qwen3 DESTINATION ${QWEN3_ZSH_COMPLETIONS_DIR} COMPONENT program)
  install(FILES ${written}/qwen3.fish DESTINATION ${QWEN3_FISH_COMPLETIONS_DIR} COMPONENT program)
endif()
