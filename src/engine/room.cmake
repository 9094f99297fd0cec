# GCC turns a choice between floats into vector instructions only when told that nobody reads the
# floating-point exception flags. Results do not change. Its loops begin on cache lines: where the
# linker happened to put them otherwise, a row of 151,936 took 73 or 81 µs (Zen 4, 2026-11-27).
set_source_files_properties(${PROJECT_SOURCE_DIR}/src/engine/logit_scan.cpp
                            PROPERTIES COMPILE_OPTIONS "-fno-trapping-math;-falign-loops=64")
