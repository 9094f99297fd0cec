# GCC turns a choice between floats into vector instructions only when told that nobody reads the
# floating-point exception flags. Results do not change.
set_source_files_properties(${PROJECT_SOURCE_DIR}/src/engine/logit_scan.cpp
                            PROPERTIES COMPILE_OPTIONS -fno-trapping-math)
