# Cross-compiles the NEON kernels with their check and runs it under emulation.
#   cmake -DSOURCE_DIR=… -DCOMPILER=aarch64-linux-gnu-g++ -DEMULATOR=qemu-aarch64 -DOUT=… -P this
# Each instruction set's file has its own flags (src/kernels/cpu/room.cmake), so each is compiled alone, all
# at the same time.
set(source ${SOURCE_DIR}/src)
set(flags -std=c++20 -O2 -Wall -Wextra -Wpedantic -Wshadow -Werror -ffp-contract=off -I${source}
          -I${SOURCE_DIR}/include -I${SOURCE_DIR}/tests)
set(objects "")
set(compile "")
foreach(
  file
  tests/kernels/neon_check.cpp
  src/tensor/blocks.cpp
  src/tensor/convert.cpp
  src/kernels/cpu/block_panels.cpp
  src/kernels/cpu/kernel_table.cpp
  src/kernels/cpu/isa/baseline.cpp
  src/kernels/cpu/isa/neon.cpp
  src/kernels/cpu/isa/neon_dotprod.cpp
  src/kernels/cpu/isa/neon_i8mm.cpp)
  get_filename_component(name ${file} NAME_WE)
  set(own "")
  if(name STREQUAL "neon_dotprod")
    set(own -march=armv8.2-a+dotprod)
  elseif(name STREQUAL "neon_i8mm")
    set(own -march=armv8.2-a+dotprod+i8mm)
  endif()
  list(APPEND compile COMMAND ${COMPILER} ${flags} ${own} -c ${SOURCE_DIR}/${file} -o
       ${OUT}_${name}.o)
  list(APPEND objects ${OUT}_${name}.o)
endforeach()
execute_process(${compile} COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${COMPILER} -static ${objects} -o ${OUT} COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${EMULATOR} -cpu max ${OUT} COMMAND_ERROR_IS_FATAL ANY)
