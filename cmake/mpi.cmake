# The plugin libqwen3_mpi.so, beside the program, which opens it when a launcher has started it: the program itself is
# linked with no MPI. QWEN3_WITH_MPI says whether it is built.
set(QWEN3_WITH_MPI OFF)
if(NOT QWEN3_MPI STREQUAL "OFF")
  set(MPI_CXX_SKIP_MPICXX ON) # the C++ interface that MPI no longer has
  find_package(MPI QUIET COMPONENTS CXX)
  set(library "")
  if(MPI_CXX_FOUND)
    execute_process(COMMAND ${MPIEXEC_EXECUTABLE} --version OUTPUT_VARIABLE library ERROR_QUIET)
  endif()
  if(library MATCHES "Open MPI|OpenRTE")
    set(QWEN3_WITH_MPI ON)
  elseif(QWEN3_MPI STREQUAL "ON")
    message(FATAL_ERROR "QWEN3_MPI is ON: expected Open MPI (Debian: libopenmpi-dev openmpi-bin), got "
                        "${MPIEXEC_EXECUTABLE}: ${library}")
  else()
    message(STATUS "Without Open MPI the plugin for ranks is not built (QWEN3_MPI)")
  endif()
endif()

if(QWEN3_WITH_MPI)
  add_library(qwen3_mpi MODULE src/parallel/mpi/mpi_group.cpp)
  target_link_libraries(qwen3_mpi PRIVATE qwen3_parallel qwen3_flags MPI::MPI_CXX)
  set_target_properties(qwen3_mpi PROPERTIES CXX_VISIBILITY_PRESET hidden
                                             LIBRARY_OUTPUT_DIRECTORY ${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
  add_dependencies(qwen3 qwen3_mpi) # a program without its plugin could not start ranks
  include(GNUInstallDirs)
  install(TARGETS qwen3_mpi LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/qwen3 COMPONENT mpi)
endif()
