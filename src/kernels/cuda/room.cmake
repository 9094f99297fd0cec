# The backend, or what says that it is missing. Contraction is off, as in kernels/cpu: the order and
# rounding of a sum are written, not found by the compiler.
set(cuda_dir ${PROJECT_SOURCE_DIR}/src/kernels/cuda)
if(QWEN3_WITH_CUDA)
  file(GLOB cuda_sources CONFIGURE_DEPENDS ${cuda_dir}/*.cu)
  target_sources(qwen3_kernels PRIVATE ${cuda_sources})
  set_source_files_properties(${cuda_dir}/absent.cpp PROPERTIES HEADER_FILE_ONLY ON)
  set_source_files_properties(
    ${cuda_sources} PROPERTIES COMPILE_OPTIONS "-fmad=false;-Werror;all-warnings;-Xptxas;-warn-spills,-Werror")
  file(GLOB cuda_hosts ${cuda_dir}/*.cpp)
  set_source_files_properties(${cuda_hosts}
                              PROPERTIES INCLUDE_DIRECTORIES "${CUDAToolkit_INCLUDE_DIRS}")
  target_link_libraries(qwen3_kernels PUBLIC CUDA::cudart_static)
else()
  file(GLOB cuda_hosts ${cuda_dir}/*.cpp)
  list(FILTER cuda_hosts EXCLUDE REGEX "(absent|codes)\\.cpp$")
  set_source_files_properties(${cuda_hosts} PROPERTIES HEADER_FILE_ONLY ON)
endif()
