# The same bits everywhere, also where the machine could fuse a product and a sum.
set_source_files_properties(
  ${PROJECT_SOURCE_DIR}/src/tensor/quantize.cpp
  ${PROJECT_SOURCE_DIR}/src/tensor/quantize/small_blocks.cpp
  ${PROJECT_SOURCE_DIR}/src/tensor/quantize/super_blocks.cpp PROPERTIES COMPILE_OPTIONS
                                                                          "-ffp-contract=off")
