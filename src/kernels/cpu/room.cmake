# One file per instruction set, each with its own flags; what runs is picked at run time
# (cpu_backend.cpp). Contraction is off everywhere: fused multiply-adds are written where wanted, so
# that a row's bits never depend on how the compiler arranged a loop.
set(isa_dir ${PROJECT_SOURCE_DIR}/src/kernels/cpu/isa)
set(isa_flags -ffp-contract=off)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND isa_flags -Wno-maybe-uninitialized)  # GCC bug 105593, inside its own intrinsics
endif()
if(QWEN3_SANITIZE MATCHES "undefined")
  # Its checks inside hundreds of unrolled tiles take the compiler many minutes; ASan stays on.
  list(APPEND isa_flags -fno-sanitize=undefined)
endif()
set(avx2_flags -mavx2 -mfma -mf16c)
set(avx512_flags ${avx2_flags} -mavx512f -mavx512bw -mavx512dq -mavx512vl
                 -mprefer-vector-width=512)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND avx512_flags -Wno-uninitialized)  # the same, in its reductions
endif()

function(qwen3_isa name)
  set_source_files_properties(${isa_dir}/${name}.cpp PROPERTIES COMPILE_OPTIONS
                                                                "${isa_flags};${ARGN}")
endfunction()

qwen3_isa(baseline)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  qwen3_isa(avx2 ${avx2_flags})
  qwen3_isa(avx512 ${avx512_flags})
  qwen3_isa(avx512_bf16 ${avx512_flags} -mavx512bf16 -mavx512vnni)
  qwen3_isa(amx ${avx512_flags} -mavx512bf16 -mavx512vnni -mamx-tile -mamx-bf16
            -mamx-int8)
  set(other_isas neon neon_dotprod neon_i8mm)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  qwen3_isa(neon)
  qwen3_isa(neon_dotprod -march=armv8.2-a+dotprod)
  qwen3_isa(neon_i8mm -march=armv8.2-a+dotprod+i8mm)
  set(other_isas avx2 avx512 avx512_bf16 amx)
else()
  set(other_isas avx2 avx512 avx512_bf16 amx neon neon_dotprod neon_i8mm)
endif()
foreach(name ${other_isas})
  set_source_files_properties(${isa_dir}/${name}.cpp PROPERTIES HEADER_FILE_ONLY ON)
endforeach()

# Where a cross compiler and an emulator are at hand, x86 checks the NEON kernels too.
if(QWEN3_TESTS AND NOT CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  find_program(AARCH64_CXX aarch64-linux-gnu-g++)
  find_program(QEMU_AARCH64 NAMES qemu-aarch64 qemu-aarch64-static)
  if(AARCH64_CXX AND QEMU_AARCH64)
    add_test(
      NAME kernels_neon
      COMMAND
        ${CMAKE_COMMAND} -DSOURCE_DIR=${PROJECT_SOURCE_DIR} -DCOMPILER=${AARCH64_CXX}
        -DEMULATOR=${QEMU_AARCH64} -DOUT=${CMAKE_BINARY_DIR}/neon_check -P
        ${PROJECT_SOURCE_DIR}/tests/kernels/neon_check.cmake)
    set_tests_properties(kernels_neon PROPERTIES LABELS unit TIMEOUT 3600)
  endif()
endif()
