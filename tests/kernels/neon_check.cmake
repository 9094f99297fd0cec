# Cross-compiles the NEON kernels with their check and runs it under emulation.
#   cmake -DSOURCE_DIR=… -DCOMPILER=aarch64-linux-gnu-g++ -DEMULATOR=qemu-aarch64 -DOUT=… -P this
set(kernels ${SOURCE_DIR}/src/kernels/cpu)
execute_process(
  COMMAND
    ${COMPILER} -std=c++20 -O2 -Wall -Wextra -Wpedantic -Wshadow -Werror -ffp-contract=off -static
    -I${SOURCE_DIR}/src -I${SOURCE_DIR}/include ${SOURCE_DIR}/tests/kernels/neon_check.cpp
    ${kernels}/kernel_table.cpp ${kernels}/isa/baseline.cpp ${kernels}/isa/neon.cpp -o ${OUT}
  COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${EMULATOR} ${OUT} COMMAND_ERROR_IS_FATAL ANY)
